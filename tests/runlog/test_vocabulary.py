"""What the package tells the run log, the vocabulary, and the page about it are one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from llmbatch.runlog import EVENTS

ROOT = Path(__file__).parents[2]
OF_EVERY_EVENT = {"at", "event"}


def written() -> Iterator[tuple[str, set[str], bool, str]]:
    """Yield each event that the package writes: its name, its fields, whether it may have others, and its place."""
    for path in sorted((ROOT / "llmbatch").rglob("*.py")):
        if path.parent.name == "runlog":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            place = f"{path.relative_to(ROOT)}:{node.lineno}"
            function = node.func
            implied: set[str] = set()
            if isinstance(function, ast.Attribute) and function.attr == "write" and _tells(function.value, node):
                names = node.args
            elif isinstance(function, ast.Name) and function.id == "write_exception":
                names, implied = node.args[1:], {"error", "traceback"}
            else:
                continue
            assert names, place
            name = names[0]
            assert isinstance(name, ast.Constant), f"{place}: an event is named where it is written"
            fields = {keyword.arg for keyword in node.keywords if keyword.arg is not None}
            yield str(name.value), fields | implied, any(each.arg is None for each in node.keywords), place


def _tells(receiver: ast.expr, call: ast.Call) -> bool:
    """Whether it is a log that is written to: by its name, or because a word and fields by name are written."""
    name = receiver.attr if isinstance(receiver, ast.Attribute) else getattr(receiver, "id", "")
    has_fields = bool(call.keywords) and isinstance(call.args[0], ast.Constant) if call.args else False
    return has_fields or re.search(r"(^|_)log$", name) is not None


def test_every_event_that_is_written_is_in_the_vocabulary() -> None:
    """With fields that it knows: what nobody can look up might as well not be there."""
    told = list(written())

    assert [] == [(name, place) for name, _, _, place in told if name not in EVENTS]
    assert [] == [(name, more, place) for name, fields, _, place in told if (more := fields - {*EVENTS[name]})]


def test_every_event_and_field_of_the_vocabulary_is_written() -> None:
    """A promise that nobody keeps is read as "it did not happen"."""
    fields: dict[str, set[str]] = {}
    open_ended: set[str] = set()
    for name, own, more, _ in written():
        fields.setdefault(name, set()).update(own)
        open_ended |= {name} if more else set()

    assert set() == set(EVENTS) - set(fields)
    silent = {name: {*EVENTS[name]} - own for name, own in fields.items() if name not in open_ended}
    assert {} == {name: missing for name, missing in silent.items() if missing}


def test_every_event_and_field_is_documented_and_nothing_else() -> None:
    """One section an event, one row a field, in the order of the vocabulary."""
    page = (ROOT / "docs" / "run-log.md").read_text(encoding="utf-8")
    sections = re.split(r"^### `(\w+)`$", page, flags=re.MULTILINE)
    documented = {
        name: tuple(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
        for name, text in zip(sections[1::2], sections[2::2], strict=True)
    }

    assert dict(EVENTS) == documented
    assert OF_EVERY_EVENT == set(re.findall(r"^\| `(\w+)` \|", sections[0], re.MULTILINE))
