"""One line about a service. Knows no step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from llmbatch.errors import ExitCode

State = Literal["ok", "note", "FAILED"]
"""`note`: nothing is wrong, and something should be known."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one step came to: which, how it went, what was found, and how to put it right.

    `ends` says that the steps after it cannot be made.
    """

    name: str
    state: State
    said: str
    fix: str = ""
    exit_code: ExitCode = ExitCode.FINE
    ends: bool = False


def failed(
    name: str, said: str, fix: str, *, exit_code: ExitCode = ExitCode.SERVICE_STOPPED, ends: bool = True
) -> Step:
    """Return a step that has failed."""
    return Step(name, "FAILED", said, fix, exit_code, ends)
