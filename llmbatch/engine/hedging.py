"""When a call is so late that one more equal call is worth sending. Pure: it is told the time and what calls took.

Service times are heavy-tailed, and a second draw of one is seldom long as well ("hedged requests": Dean and Barroso,
The Tail at Scale, 2013). While calls are left to start, a second one would take a slot from another case; when none
are, the slots are free, and the run waits for its slowest call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from llmbatch.client.underway import Underway

T = TypeVar("T", bound=Underway)

HIGH_QUANTILE = 0.98
"""Earlier and the allowance is spent on calls that would have ended soon; later and the stragglers are waited for."""

LEAST_TIMES_MEDIAN = 2.0
"""Where all calls take alike, the slowest few are not late."""

LEAST_SECONDS = 1.0
"""Nobody pays for a call to save less."""

LEAST_SEEN = 10
"""Of fewer calls nobody knows what is usual."""

MOST_KEPT = 1000
MOST_SHARE = 0.02
"""Hedges for each call of the run; a run too short for one may send one."""

LEAST_CHECK_SECONDS, MOST_CHECK_SECONDS = 0.01, 1.0
CHECKS_WITHIN = 20


def late_after_seconds(taken: Sequence[float], least_seconds: float = LEAST_SECONDS) -> float | None:
    """Return how long a call may take before it is late, from what others took; None where these are too few."""
    if len(taken) < LEAST_SEEN:
        return None
    ordered = sorted(taken)
    high = ordered[min(len(ordered) - 1, int(HIGH_QUANTILE * len(ordered)))]
    return max(least_seconds, high, LEAST_TIMES_MEDIAN * ordered[len(ordered) // 2])


@dataclass(slots=True)
class Hedging:
    """What a run's calls took, by model, and how many hedges it has sent.

    `answered` is called once an answer and is as cheap as it can be; the rest is asked a few times a second, and only
    when nothing is left to start.
    """

    least_seconds: float = LEAST_SECONDS
    sent: int = 0
    _answers: int = 0
    _taken: dict[str, deque[float]] = field(default_factory=dict)

    @property
    def answers(self) -> int:
        """How many calls were answered."""
        return self._answers

    def answered(self, model: str, seconds: float) -> None:
        """Take note of what a call took that brought an answer."""
        self._answers += 1
        taken = self._taken.get(model)
        if taken is None:
            taken = self._taken[model] = deque(maxlen=MOST_KEPT)
        taken.append(seconds)

    def late_after(self) -> dict[str, float]:
        """Return how long a call of each model may take before it is late; models of which that is known."""
        known = ((model, late_after_seconds(taken, self.least_seconds)) for model, taken in self._taken.items())
        return {model: seconds for model, seconds in known if seconds is not None}

    def overdue(self, calls: Collection[T], now: float, room_for: Callable[[T], int]) -> list[T]:
        """Return the calls that deserve a hedge now, the latest first: no more of a model than there is room for.

        A call waits for its service, is late for its model, and had no hedge yet. Where another waits for its turn or
        for a slot there are none: it goes first.
        """
        left = max(1, int(MOST_SHARE * self._answers)) - self.sent
        if left <= 0 or not all(call.is_sent for call in calls):
            return []
        late_after = self.late_after()
        late = [
            (now - call.stage_since - late_after[call.model], call)
            for call in calls
            if call.stage == "service" and not call.hedged and call.model in late_after
        ]
        late = [(over, call) for over, call in late if over >= 0.0]
        late.sort(key=lambda pair: pair[0], reverse=True)
        room: dict[str, int] = {}
        chosen: list[T] = []
        for _, call in late:
            free = room[call.model] if call.model in room else room_for(call)
            if free > 0 and len(chosen) < left:
                chosen.append(call)
                free -= 1
            room[call.model] = free
        return chosen

    def check_after_seconds(self) -> float:
        """Return after how many seconds it is worth looking again."""
        least = min(self.late_after().values(), default=MOST_CHECK_SECONDS)
        return min(MOST_CHECK_SECONDS, max(LEAST_CHECK_SECONDS, least / CHECKS_WITHIN))
