"""A pause that a service asks for, and the way out of it: one attempt goes alone, and the rest follows it. Pure."""

from __future__ import annotations

LONGEST_HOLD_SECONDS = 120.0
"""A service that asks for more is looked at again after this; whoever was asked to wait longer stops the run."""
LONGEST_PROBE_SECONDS = 2.0
"""A refusal comes at once: a probe that is not refused by then was accepted, though its answer may take minutes."""

_NEVER = float("-inf")


class Hold:
    """Until when nobody may start. `is_probe_due` says that the next to start goes alone."""

    __slots__ = ("_probe", "_probe_seconds", "is_probe_due", "until")

    def __init__(self) -> None:
        self.until = _NEVER
        self.is_probe_due = False
        self._probe: object | None = None
        self._probe_seconds = 0.0

    def begin(self, seconds: float, now: float) -> bool:
        """Hold everybody for that long; return whether that is news. A longer hold is not made shorter."""
        if seconds <= 0 or now + seconds <= self.until:
            return False
        is_news = now >= self.until
        self.until = now + seconds
        self.is_probe_due = True
        self._probe_seconds = min(LONGEST_PROBE_SECONDS, seconds)
        return is_news

    def probe_with(self, attempt: object, now: float) -> None:
        """Let this attempt be the one that goes alone. What becomes of it is waited for, but not for long."""
        self.is_probe_due = False
        self._probe = attempt
        self.until = now + self._probe_seconds

    def probe_came_back(self, attempt: object) -> bool:
        """End the wait for the probe if this attempt is it, and return whether it is."""
        if attempt is not self._probe:
            return False
        self._probe = None
        if not self.is_probe_due:  # else another was pushed back since
            self.until = _NEVER
        return True
