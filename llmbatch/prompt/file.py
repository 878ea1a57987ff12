"""Prompt files: front matter and text read into a template. Knows no folder, no sample and no task."""

from __future__ import annotations

import re
from pathlib import Path

from llmbatch.errors import PromptError
from llmbatch.prompt.template import Template, Turn
from llmbatch.prompt.text import parse_text, trimmed

DEFAULT_SYSTEM = "You are a helpful assistant."

_FENCE = re.compile(r"---[ \t]*\n")
_CLOSING_FENCE = re.compile(r"^---[ \t]*(?:\n|\Z)", re.MULTILINE)


def parse_prompt_file(path: Path, *, place: str | None = None) -> Template:
    """Return the template of a prompt file. `place` is what messages call it (default: its path).

    Raises PromptError for a file that is not UTF-8 text, and as `parse_prompt_text` does.
    """
    place = place or path.as_posix()
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise PromptError(f"{place} cannot be read: {error.strerror}", fix="check the file") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise PromptError(
            f"not UTF-8: byte {error.object[error.start]:#04x}",
            place=f"{place}:{line}",
            fix="save the file as UTF-8",
        ) from None
    return parse_prompt_text(text, place=place)


def parse_prompt_text(text: str, *, place: str) -> Template:
    """Return the template of a text: front matter between `---` lines if there is any, then the user turn.

    Blank lines around each text are dropped and CRLF is a line end; nothing else is touched.
    Raises PromptError.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    turns: list[Turn] = [_turn("system", DEFAULT_SYSTEM, 1, place)]
    start = 0
    if opening := _FENCE.match(text):
        closing = _CLOSING_FENCE.search(text, opening.end())
        if closing is None:
            raise PromptError(
                "the front matter is never closed",
                place=f"{place}:1",
                fix="end it with a line ---, or start the text with a blank line if --- is text",
            )
        turns = _front_turns(text[opening.end() : closing.start()], place)
        start = closing.end()
    body, line = trimmed(text[start:], 1 + text.count("\n", 0, start))
    if not body:
        raise PromptError("the prompt has no text", place=f"{place}:{line}", fix="write the user's turn")
    return Template([*turns, _turn("user", body, line, place)], place=place)


def _front_turns(text: str, place: str) -> list[Turn]:
    from llmbatch.prompt.front_matter import read_front_matter  # noqa: PLC0415  # YAML takes 30 ms to import

    return [_turn(*said, place) for said in read_front_matter(text, place, DEFAULT_SYSTEM)]


def _turn(role: str, text: str, line: int, place: str) -> Turn:
    return Turn(role, parse_text(text, place=place, first_line=line))
