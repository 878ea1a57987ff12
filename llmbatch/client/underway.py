"""What is on its way, and what each call of it waits for. Plain values: knows no HTTP, no clock and no case's work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Stage = Literal["turn", "slot", "service", "back-off"]
"""What a call waits for: its turn under a limit, a free slot, an answer, or the time until the next try."""


@dataclass(slots=True, eq=False)
class Underway:
    """One call from its first wait to its end. Times are of a monotonic clock, in seconds.

    `hedged` says that another equal call was sent beside it, `is_hedge` that it is such a one.
    """

    case: str
    model: str
    since: float
    stage: Stage
    stage_since: float
    hedged: bool = False
    is_hedge: bool = False

    @property
    def is_sent(self) -> bool:
        """Whether its attempt has been sent, or has ended."""
        return self.stage in {"service", "back-off"}

    def enter(self, stage: Stage, now: float) -> None:
        """Note that the call waits for something else from now on."""
        self.stage = stage
        self.stage_since = now
