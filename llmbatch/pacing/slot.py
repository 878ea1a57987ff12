"""The right to make one attempt, as whoever makes it holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmbatch.call.values import Reply
from llmbatch.policy import Verdict

if TYPE_CHECKING:
    from llmbatch.pacing.lane import Lane


class Slot:
    """The right to make one attempt. `release` gives it back, a second time does nothing."""

    __slots__ = ("_lane", "body", "epoch", "is_held", "tokens")

    def __init__(self, lane: Lane, body: bytes, tokens: float, epoch: int, *, is_held: bool = True) -> None:
        self._lane = lane
        self.body = body
        self.tokens = tokens
        self.epoch = epoch
        self.is_held = is_held

    def settle(self, verdict: Verdict, reply: Reply | None = None, retry_after_seconds: float | None = None) -> None:
        """Tell what the attempt came to; before `release`, so that nobody is let in on old terms."""
        self._lane.settle(self, verdict, reply, retry_after_seconds)

    def release(self) -> None:
        """Give the slot back."""
        if self.is_held:
            self.is_held = False
            self._lane.leave()
