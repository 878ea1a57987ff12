"""Where the tokens of a reply stand in the text of its answer. Knows no label.

The text is what the service took out of the tokens: without the tokens of the chat format, often without
thoughts, and without the fence that a model under a grammar may write unseen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from llmbatch.parse.probability.tokens import Beside, Listed, Token

_LONGEST_PIECE = 16  # bytes of a token whose bytes are not told


class Placed(NamedTuple):
    """A token and the bytes of the text that it wrote, from `start` up to `end`."""

    token: Token
    start: int
    end: int


def place_tokens(tokens: Sequence[Token], text: str) -> list[Placed] | None:
    """Return the tokens that wrote the text, in order; None if these tokens did not.

    Where tokens are not written as the text they stand for (`▁yes`, `Ġyes`), they are read as that.
    """
    content = text.encode("utf-8", "replace")
    for read in _readings(tokens):
        placed = _contiguous(read, content) or _backwards(read, content)
        if placed is not None:
            return placed
    return None


def _contiguous(tokens: Sequence[Token], content: bytes) -> list[Placed] | None:
    """The text is one piece of what the tokens spell, the last such piece."""
    if any(token.said.spelled is None for token in tokens):
        return None
    spelled = [token.said.spelled or b"" for token in tokens]
    begin = b"".join(spelled).rfind(content)
    if begin < 0 or not content:
        return None
    placed, position = [], -begin
    for token, piece in zip(tokens, spelled, strict=True):
        end = position + len(piece)
        if (end > 0 or (not piece and end == 0)) and position <= len(content):
            placed.append(Placed(token, position, end))
        position = end
    return placed


def _backwards(tokens: Sequence[Token], content: bytes) -> list[Placed] | None:
    """From the end: a token that the text does not end in was hidden; unknown ones wrote what known ones left."""
    placed: list[Placed] = []
    end, unknown = len(content), list[Token]()
    for token in reversed(tokens):
        piece = token.said.spelled
        if piece is None:
            unknown.append(token)
            continue
        near = max(0, end - _LONGEST_PIECE * len(unknown) - len(piece))
        begin = content.rfind(piece, near, end) if unknown else end - len(piece)
        if begin < 0 or content[begin : begin + len(piece)] != piece:
            continue
        placed += _blurred(unknown, content, begin + len(piece), end)
        unknown = []
        placed.append(Placed(token, begin, begin + len(piece)))
        end = begin
    placed += _blurred(unknown, content, 0, end)
    whole = end == 0 or bool(unknown) or not content[:end].strip()
    return placed[::-1] if whole and placed else None


def _blurred(unknown: Sequence[Token], content: bytes, start: int, end: int) -> Iterator[Placed]:
    """Give a run of tokens (the last one first) whose bytes are not told the bytes between its neighbours.

    Who wrote which of them is not known, so the last has them all, and beside all but the first nothing is known.
    """
    for position, token in enumerate(unknown):
        piece = content[start:end] if position == 0 else b""
        first = position == len(unknown) - 1
        others = token.others if first else tuple(other._replace(spelled=None) for other in token.others)
        said = token.said._replace(spelled=piece, ends=False)
        yield Placed(Token(said, Beside.of(others, token.ruled_out)), start, start + len(piece))


def _readings(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    yield tokens
    spelled = b"".join(token.said.spelled or b"" for token in tokens)
    if "▁".encode() in spelled:
        yield [_respelled(token, {"▁": b" "}) for token in tokens]
    if "Ġ".encode() in spelled or "Ċ".encode() in spelled:
        yield [_respelled(token, _byte_level()) for token in tokens]


def _respelled(token: Token, table: dict[str, bytes]) -> Token:
    others = [_read_as(other, table) for other in token.others]
    return Token(_read_as(token.said, table), Beside.of(others, token.ruled_out))


def _read_as(listed: Listed, table: dict[str, bytes]) -> Listed:
    if listed.spelled is None or listed.ends:
        return listed
    text = listed.spelled.decode("utf-8", "replace")
    return listed._replace(spelled=b"".join(table.get(character, character.encode()) for character in text))


@cache
def _byte_level() -> dict[str, bytes]:
    """The letters that byte-level BPE writes for bytes: printable ones for themselves, the rest from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    table = {chr(byte): bytes([byte]) for byte in printable}
    return table | {chr(0x100 + place): bytes([byte]) for place, byte in enumerate(others)}
