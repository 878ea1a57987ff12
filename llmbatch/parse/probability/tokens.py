"""The tokens of a reply, each with its probability and those of the tokens that might have stood in its place.

Reads the `logprobs` of a chat completion as the services write them. Knows no label and no text of an answer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

_IMPOSSIBLE_BELOW = -1000.0
"""Services write -inf, null or -9999 for what a grammar or a sampler has ruled out."""
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_ESCAPED_BYTES = re.compile(r"bytes:((?:\\x[0-9a-f]{2})+)", re.IGNORECASE)
_END = re.compile("<[|\uff5c][^<>]*[|\uff5c]>|</s>|<eos>|<end_of_turn>|<EOT>")
"""What a token of the chat format is written as; in the middle of an answer each of them ends it."""
_REPLACEMENT = "\ufffd"


class Listed(NamedTuple):
    """A token that might have stood somewhere: its bytes (None where they are not told) and its probability."""

    spelled: bytes | None
    probability: float
    ends: bool = False
    """Whether the answer ends with it: a token of the chat format, or one without any text."""


class Beside:
    """What was listed beside a token, read when it is first looked at: of a long answer only the label's is."""

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self._entry = entry

    @classmethod
    def of(cls, others: Sequence[Listed], ruled_out: int) -> Beside:
        """Return what is known already."""
        beside = cls({})
        beside.read = tuple(others), ruled_out
        return beside

    @cached_property
    def read(self) -> tuple[tuple[Listed, ...], int]:
        """The tokens listed as possible, without the token itself, and how many were listed as impossible."""
        candidates = self._entry.get("top_logprobs", self._entry.get("top_probs"))
        others: list[Listed] = []
        ruled_out, met = 0, False
        for candidate in candidates if isinstance(candidates, list) else ():
            listed = _listed(candidate)
            if listed is None:
                continue
            if listed.probability == 0.0:
                ruled_out += 1
            elif not met and _is_the_same(candidate, self._entry):
                met = True
            else:
                others.append(listed)
        return tuple(others), ruled_out


class Token(NamedTuple):
    """A token of the reply, and what was listed beside it."""

    said: Listed
    beside: Beside

    @property
    def others(self) -> tuple[Listed, ...]:
        """The other tokens that were listed as possible."""
        return self.beside.read[0]

    @property
    def ruled_out(self) -> int:
        """How many tokens were listed as impossible."""
        return self.beside.read[1]

    @property
    def unlisted(self) -> float:
        """The probability of all tokens that were not listed."""
        return max(0.0, 1.0 - self.said.probability - math.fsum(other.probability for other in self.others))

    @property
    def listed(self) -> int:
        """How many tokens are listed as possible, itself included."""
        return 1 + len(self.others)


def read_tokens(document: object) -> tuple[Token, ...] | None:
    """Return the tokens of the first choice of a completion; None where it has none.

    A member that is not of its kind is passed over: a service that writes nonsense has written nothing.
    """
    entries = _entries(document)
    tokens = []
    for entry in entries:
        said = _listed(entry)
        if said is None:
            return None
        tokens.append(Token(said, Beside(entry)))
    return tuple(tokens) or None


def is_of_the_sampler(document: object) -> bool:
    """Whether the service says that its numbers are those of the sampler, as llama.cpp does."""
    return any(isinstance(entry, dict) and "prob" in entry and "logprob" not in entry for entry in _entries(document))


def _entries(document: object) -> list[Any]:
    choices = document.get("choices") if isinstance(document, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    logprobs = choice.get("logprobs") if isinstance(choice, dict) else None
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    return content if isinstance(content, list) else []


def _is_the_same(candidate: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    if "id" in candidate and "id" in entry:
        return bool(candidate["id"] == entry["id"])
    return candidate.get("token") == entry.get("token") and candidate.get("bytes") == entry.get("bytes")


def _listed(entry: object) -> Listed | None:
    if not isinstance(entry, dict):
        return None
    probability = _probability(entry)
    if probability is None:
        return None
    spelled = _spelled(entry)
    return Listed(
        spelled, probability, spelled == b"" or _END.fullmatch((spelled or b"").decode("utf-8", "replace")) is not None
    )


def _probability(entry: Mapping[str, Any]) -> float | None:
    if "logprob" not in entry:
        said = entry.get("prob")  # llama.cpp's post_sampling_probs
        return float(said) if isinstance(said, int | float) and 0 <= said <= 1 else None
    logprob = entry["logprob"]
    if logprob is None:
        return 0.0
    if not isinstance(logprob, int | float) or math.isnan(logprob):
        return None
    return 0.0 if logprob < _IMPOSSIBLE_BELOW else math.exp(min(logprob, 1.0))


def _spelled(entry: Mapping[str, Any]) -> bytes | None:
    """Return a token's bytes; None where the service wrote U+FFFD for a piece of a character."""
    text, raw = entry.get("token"), entry.get("bytes")
    if isinstance(text, str):
        if (byte := _BYTE_TOKEN.fullmatch(text)) is not None:
            return bytes.fromhex(byte[1])
        if (escaped := _ESCAPED_BYTES.fullmatch(text)) is not None:
            return bytes.fromhex(escaped[1].replace("\\x", ""))
    if isinstance(raw, list) and all(isinstance(byte, int) and 0 <= byte < 256 for byte in raw):
        spelled = bytes(raw)
        return None if _REPLACEMENT.encode() in spelled else spelled
    if not isinstance(text, str) or _REPLACEMENT in text:
        return None
    return text.encode("utf-8", "replace")
