"""Where in the author's files something was declared, and which known name is nearest to a wrong one.

Knows nothing of tasks: it reads code objects and strings.
"""

from __future__ import annotations

import difflib
import linecache
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import CodeType
from typing import Any


def place_of(file: str | Path, line: int) -> str:
    """Return `file:line`, the file relative to the working directory when it lies below it."""
    path = Path(file)
    with suppress(ValueError, OSError):  # it lies elsewhere, or the working directory is gone
        path = path.relative_to(Path.cwd())
    return f"{path.as_posix()}:{line}"


def definition_of(function: Callable[..., Any]) -> tuple[str, int]:
    """Return the file of a function and the line of its `def`, past the decorators."""
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        return "<unknown>", 0
    first = code.co_firstlineno
    lines = linecache.getlines(code.co_filename)
    for number, text in enumerate(lines[first - 1 :], start=first):
        if text.lstrip().startswith(("def ", "async def ")):
            return code.co_filename, number
    return code.co_filename, first


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that `name` was most likely meant to be, or None when nothing is near."""
    names = {candidate.casefold(): candidate for candidate in known}
    found = difflib.get_close_matches(name.casefold(), names, n=1, cutoff=0.6)
    return names[found[0]] if found else None
