"""When a run is worth a word because nothing finishes, and what is said. Pure: it is told the time and the counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

LEAST_SECONDS = 30.0
TIMES_LATE = 3.0
"""A service whose late answers take long is not stalled before some multiple of that."""

MOST_NAMED = 5


class Waiting(NamedTuple):
    """One case that has no row yet: what it waits for, and for how many seconds."""

    case: str
    what: str
    seconds: float


@dataclass(slots=True)
class Stalls:
    """Tells when nothing has finished for so long that it must be said; again when it has lasted twice as long."""

    _finished: int = -1
    _since: float = 0.0
    _said_at_seconds: float = 0.0

    def seconds(self, finished: int, now: float, *, late_after: float | None) -> float | None:
        """Return for how long nothing has finished, if that is to be said now.

        `finished` counts whatever shows that the run moves, `late_after` is when a call is late, where that is known.
        """
        if finished != self._finished:
            self._finished, self._since, self._said_at_seconds = finished, now, 0.0
            return None
        lasted = now - self._since
        least = max(LEAST_SECONDS, TIMES_LATE * (late_after or 0.0), 2.0 * self._said_at_seconds)
        if lasted < least:
            return None
        self._said_at_seconds = lasted
        return lasted


def longest_waiting(waiting: Sequence[Waiting]) -> list[Waiting]:
    """Return the few that are named: those that wait longest, then by name."""
    return sorted(waiting, key=lambda each: (-each.seconds, each.case))[:MOST_NAMED]


def stall_text(seconds: float, waiting: Sequence[Waiting]) -> str:
    """Return the report: since when, how many wait for what, and the first few by name."""
    counted = Counter(each.what for each in waiting)
    whats = ", ".join(f"{number:,} for {what}" for what, number in sorted(counted.items()))
    named = ", ".join(f"{each.case} ({each.what}, {each.seconds:.0f} s)" for each in longest_waiting(waiting))
    more = f", and {len(waiting) - MOST_NAMED:,} more" if len(waiting) > MOST_NAMED else ""
    return f"nothing has finished for {seconds:.0f} s; waiting: {whats or 'nothing'}: {named}{more}"
