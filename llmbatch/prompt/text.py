"""One text with `{field}` placeholders: parsed, and filled. Knows no file, no sample and no message.

Filling can reach the value of a field and nothing else: there is no attribute, index, conversion or format
specification, and what a value holds is never looked at again (template injection, CWE-1336).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from json import JSONEncoder
from typing import Any

from llmbatch.errors import PromptError
from llmbatch.samples.values import NotJsonLikeError, json_like

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}\n]*)\}|[{}]")
_REACHES_INTO = re.compile(r"[.\[\]!:]")
_NAME_BEFORE = re.compile(r"\s*(\w+)\s*[.\[!:]")
_compact_json = JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Text:
    """A text cut at its placeholders: `pieces` are joined once the `slots` among them are filled.

    `slots` holds (index into pieces, field name, line). `place` is what messages call the text.
    """

    source: str
    place: str
    pieces: list[str]
    slots: tuple[tuple[int, str, int], ...]

    def filled(self, fields: Mapping[str, Any]) -> str:
        """Return the text, every slot filled; all fields must be there. Raises PromptError for a value."""
        pieces = self.pieces.copy()
        for index, name, line in self.slots:
            value = fields[name]
            pieces[index] = value if type(value) is str else _value_text(value, name, self.place, line)
        return "".join(pieces)


def parse_text(source: str, *, place: str, first_line: int = 1) -> Text:
    """Return the text cut at its placeholders. Raises PromptError at `place:line:column` for other braces."""
    pieces: list[str] = [""]
    slots: list[tuple[int, str, int]] = []
    done = 0
    for token in _TOKEN.finditer(source):
        pieces[-1] += source[done : token.start()]
        done = token.end()
        name = token.group(1)
        if name is None and len(token.group()) == 2:
            pieces[-1] += token.group()[0]
            continue
        line = first_line + source.count("\n", 0, token.start())
        column = token.start() - source.rfind("\n", 0, token.start())
        if name is None:
            raise _lone_brace(token.group(), f"{place}:{line}:{column}")
        _check_name(name, f"{place}:{line}:{column}")
        slots.append((len(pieces), name, line))
        pieces += ["", ""]
    pieces[-1] += source[done:]
    return Text(source, place, pieces, tuple(slots))


def verbatim_text(source: str, *, place: str) -> Text:
    """Return a text that holds no placeholders, whatever braces are in it."""
    return Text(source, place, [source], ())


def trimmed(text: str, line: int) -> tuple[str, int]:
    """Return a text without the blank lines around it, and the line it then starts at."""
    lines = text.split("\n")
    filled = [at for at, one in enumerate(lines) if one.strip(" \t")]
    if not filled:
        return "", line
    return "\n".join(lines[filled[0] : filled[-1] + 1]), line + filled[0]


def _value_text(value: Any, name: str, place: str, line: int) -> str:
    """Return a value as compact JSON, members in their own order.

    Raises PromptError for None, which would read as an answer of its own, and for what has no JSON form.
    """
    try:
        plain = json_like(value)
    except NotJsonLikeError as error:
        what = f"the field `{name}` cannot be written: {error}"
        raise PromptError(what, place=f"{place}:{line}", fix="pass its text") from None
    if plain is None:
        raise PromptError(
            f"the field `{name}` is None",
            place=f"{place}:{line}",
            fix='pass "" where nothing should stand, or a word such as "unknown"',
        )
    return plain if type(plain) is str else _compact_json(plain)


def _lone_brace(brace: str, place: str) -> PromptError:
    return PromptError(f"a lone {brace}", place=place, fix=f"write {brace * 2} for the character itself")


def _check_name(name: str, place: str) -> None:
    if not name.strip():
        raise PromptError(f"{{{name}}} names no field", place=place, fix="write {field}, or {{}} for the text itself")
    if not _REACHES_INTO.search(name):
        return
    before = _NAME_BEFORE.match(name)
    fix = f"write {{{{{name}}}}} for the text itself"
    if before:
        fix = f"write {{{before.group(1)}}}, pass the value you mean as a field of its own, or {fix}"
    raise PromptError(
        f"{{{name}}} is not a placeholder",
        place=place,
        allowed="{field}: the name of a field alone, without . [ ] ! :",
        fix=fix,
    )
