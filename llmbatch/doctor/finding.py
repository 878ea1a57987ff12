"""What a check has found. Knows no check."""

from __future__ import annotations

from dataclasses import dataclass

from llmbatch.errors import ExitCode


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of an examination: which check, of what, and every problem it has found.

    `exit_code` says who can put a problem right: our bug, unless the check looks at files or services.
    """

    check: str
    what: str
    problems: tuple[str, ...] = ()
    exit_code: ExitCode = ExitCode.OUR_BUG

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems
