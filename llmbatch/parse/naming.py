"""What a type is called in requests and in messages, and where it is declared. Knows no schema."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

ANSWER = "answer"
"""The name of a type that has none, and the column of an answer that has no fields."""


def name_of(tp: Any) -> str:
    """Return a name that services accept: letters, digits, `_` and `-`, at most 64 of them."""
    name = tp.__name__ if isinstance(tp, type) else ANSWER
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64]


def described(tp: Any) -> str:
    """Return a type as messages show it."""
    return tp.__qualname__ if isinstance(tp, type) else str(tp).replace("typing.", "")


def place_of_type(tp: Any) -> str | None:
    """Return `file:line` of an author's class, relative to the working directory where it lies below it."""
    if getattr(tp, "__module__", "").partition(".")[0] in sys.stdlib_module_names:
        return None
    try:
        file, line = Path(inspect.getsourcefile(tp) or ""), inspect.getsourcelines(tp)[1]
    except (TypeError, OSError):
        return None
    shown = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
    return f"{shown.as_posix()}:{line}"
