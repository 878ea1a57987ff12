"""A lane in a time of its own, and the attempts that it has let in."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from llmbatch.call.failure import FailureKind
from llmbatch.call.values import Reply
from llmbatch.pacing.booking import Rates
from llmbatch.pacing.concurrency import Concurrency
from llmbatch.pacing.gate import Gate
from llmbatch.pacing.lane import Lane
from llmbatch.pacing.ledger import Limit
from llmbatch.pacing.slot import Slot
from llmbatch.policy import Verdict
from tests.pacing.fake_time import FakeTime, Heard, around, turn

GOOD = Verdict(final=True)
LIMITED = Verdict(FailureKind.RATE_LIMITED, retry="global")
OVERLOADED = Verdict(FailureKind.SERVER_ERROR, retry="global")
BROKEN = Verdict(FailureKind.SERVER_ERROR, retry="backoff")
LATE = Verdict(FailureKind.TIMEOUT, retry="backoff")


class Scene:
    """`entered` are the attempts let in, each with the seconds since the start; `slots` are those inside."""

    def __init__(
        self, *, slots: int = 64, gates: Sequence[Gate] = (), rpm: float | None = None, tpm: float | None = None
    ) -> None:
        self.time, self.heard = FakeTime(), Heard()
        self.own_gate = Gate(slots)
        self.lane = Lane(
            "service",
            "m",
            around(self.time, self.heard),
            gates=[*gates, self.own_gate],
            concurrency=Concurrency(slots),
            limits=[Limit(b"m", Rates(rpm, tpm))],
        )
        self.entered: list[tuple[int, float]] = []
        self.slots: list[Slot] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def ask(self, number: int, body: bytes = b"", *, stay: bool = False, again: bool = False) -> None:
        """Let so many more attempts ask to be let in; they leave at once unless they are to stay."""
        for _ in range(number):
            self.tasks.append(asyncio.create_task(self._visit(len(self.tasks), body, stay=stay, again=again)))
        await turn()

    async def _visit(self, number: int, body: bytes, *, stay: bool, again: bool) -> None:
        slot = await self.lane.admit(body, again=again)
        self.entered.append((number, self.time.now - 1000.0))
        if stay:
            self.slots.append(slot)
        else:
            slot.release()

    def answer(self, verdict: Verdict, asked: float | None = None, **headers: str) -> None:
        """Let the attempt that has been inside for longest come back."""
        slot = self.slots.pop(0)
        names = {f"x-ratelimit-{name.replace('_', '-')}": (value,) for name, value in headers.items()}
        slot.settle(verdict, Reply(200, "OK", names, b""), asked)
        slot.release()

    def cancel(self) -> None:
        for task in self.tasks:
            task.cancel()
