"""The queue of one endpoint and model: who may send next, and what the replies teach about that."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from llmbatch.call.failure import FailureKind
from llmbatch.call.values import Reply
from llmbatch.pacing.concurrency import Change, Concurrency
from llmbatch.pacing.gate import Gate
from llmbatch.pacing.headers import empty_for_seconds, limits_of, states_limits
from llmbatch.pacing.hold import LONGEST_HOLD_SECONDS, Hold
from llmbatch.pacing.ledger import Limit
from llmbatch.pacing.slot import Slot
from llmbatch.pacing.starts import Starts
from llmbatch.pacing.surroundings import Surroundings, Timer
from llmbatch.pacing.tokens import Estimate
from llmbatch.policy import Verdict

NAP_SECONDS = 0.01
"""The least time between two looks at the queue: starts that are due within it are made together, which is less than
a booked start may be late, and spares a busy run a timer for each."""
LONG_PAUSE_SECONDS = 10.0
"""A pause from here on is worth a line: the run has not hung."""


class _Waiter(NamedTuple):
    future: asyncio.Future[Slot]
    body: bytes
    tokens: float


class Lane:
    """Admits attempts first come, first served, when all hold: a slot is free in each gate, no pause, a start is due.

    `gates` are the run's, the endpoint's where it has one, and, last, the lane's own, which `concurrency` moves.
    """

    def __init__(
        self,
        endpoint: str,
        model: str,
        around: Surroundings,
        *,
        gates: Sequence[Gate],
        concurrency: Concurrency,
        limits: Sequence[Limit],
    ) -> None:
        self.endpoint, self.model = endpoint, model
        self.concurrency = concurrency
        self.pauses = 0
        self._gates, self._own_gate = tuple(gates), gates[-1]
        self._around = around
        self._clock = around.clock
        self._starts = Starts(limits, around)
        self._hold = Hold()
        self._estimate = Estimate()
        self._queue: deque[_Waiter] = deque()
        self._again = 0
        self._call_me = self._look
        self._timer: Timer | None = None
        self._is_over = False
        self._has_noted_size = False

    @property
    def free(self) -> int:
        """How many more could be in flight now; 0 where somebody waits."""
        return 0 if self._queue else max(0, min(gate.free for gate in self._gates))

    @property
    def is_full(self) -> bool:
        """Whether a slot is what is missing."""
        return min(gate.free for gate in self._gates) < 1

    async def admit(self, body: bytes, *, again: bool = False) -> Slot:
        """Wait for the turn of one attempt with this body; one that is made `again` goes before those never made."""
        tokens = self._tokens_of(body) if self._starts.counts_tokens else 0.0
        if self._is_over:
            return Slot(self, body, tokens, 0, is_held=False)
        if not self._queue and self._lets_in(tokens):
            return self._enter(body, tokens)
        future: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        if again:
            self._queue.insert(self._again, _Waiter(future, body, tokens))
            self._again += 1
        else:
            self._queue.append(_Waiter(future, body, tokens))
        self._look()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                future.result().release()  # it had been admitted before the cancellation arrived
            raise

    def leave(self) -> None:
        """Take a slot back."""
        for gate in self._gates:
            gate.leave()
        for gate in self._gates:  # only now, when the slot is free in all of them
            gate.call_waiting()

    def end(self) -> None:
        """Let everybody through, without a slot: nothing is sent any more."""
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
        while self._queue:
            waiter = self._queue.popleft()
            if not waiter.future.done():
                waiter.future.set_result(Slot(self, waiter.body, waiter.tokens, 0, is_held=False))

    def settle(self, slot: Slot, verdict: Verdict, reply: Reply | None, retry_after_seconds: float | None) -> None:
        """Learn from what an attempt came to."""
        was_probe = self._hold.probe_came_back(slot)
        if verdict.kind is FailureKind.RATE_LIMITED:
            if not was_probe:  # one alone is refused because the service is closed, not because one is too many
                self._move(self.concurrency.refused(slot.epoch))
        elif verdict.kind is None or verdict.final:
            self._move(self.concurrency.answered(slot.epoch))
        if verdict.retry == "global" and retry_after_seconds is not None:
            self._pause(retry_after_seconds, f"the service asks for a pause: {verdict.kind}")
        if reply is not None:
            self._learn(slot, reply)
        if was_probe:
            self._pump()

    def _lets_in(self, tokens: float) -> bool:
        """Whether nothing at all is in the way of one more: the common case, in which nobody has to wait."""
        for gate in self._gates:
            if gate.in_use >= gate.limit:
                return False
        now = self._clock()
        if self._hold.is_probe_due or now < self._hold.until:
            return False
        starts = self._starts
        if starts.is_paced:
            if starts.next((tokens,), now) > now:
                return False
            starts.take(tokens)
        return True

    def _enter(self, body: bytes, tokens: float) -> Slot:
        for gate in self._gates:
            gate.enter()
        self.concurrency.sent(self._own_gate.in_use)
        return Slot(self, body, tokens, self.concurrency.epoch)

    def _look(self) -> None:
        """Admit whoever may be admitted now, unless it is known that nobody may before an instant to come."""
        if self._timer is None:
            self._pump()

    def _pump(self) -> None:
        """Admit whoever may be admitted now, and see to it that this is called when the next may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        queue, starts, hold = self._queue, self._starts, self._hold
        while queue:
            if queue[0].future.done():  # cancelled
                self._first()
                continue
            for gate in self._gates:
                if gate.in_use >= gate.limit:
                    gate.wait(self._call_me)
                    return
            now = self._clock()
            start = hold.until
            if start <= now and starts.is_paced:
                start = starts.next(self._waiting_tokens(), now)
            if start > now:
                self._timer = self._around.call_later(max(NAP_SECONDS, start - now), self._pump)
                return
            waiter = self._first()
            if starts.is_paced:
                starts.take(waiter.tokens)
            slot = self._enter(waiter.body, waiter.tokens)
            if hold.is_probe_due:
                hold.probe_with(slot, now)
                self._tell(Change(0, self.concurrency.limit, "the pause is over: one goes first, the rest follows it"))
            waiter.future.set_result(slot)

    def _first(self) -> _Waiter:
        """Take the first of the queue."""
        self._again = max(0, self._again - 1)
        return self._queue.popleft()

    def _waiting_tokens(self) -> Iterator[float]:
        """Yield the estimates of those for whom there is a slot."""
        free = min(gate.free for gate in self._gates)
        return (waiter.tokens for waiter in islice(self._queue, free))

    def _move(self, change: Change | None) -> None:
        if change is not None:
            self._tell(change)
            self._own_gate.resize(change.limit)
            self._own_gate.call_waiting()

    def _pause(self, asked_seconds: float, why: str) -> None:
        seconds = min(asked_seconds, LONGEST_HOLD_SECONDS)
        if self._hold.begin(seconds, self._clock()):
            self.pauses += 1
            self._tell(Change(self.concurrency.limit, 0, f"{why} ({seconds:.3g} s)"))
            if LONG_PAUSE_SECONDS <= asked_seconds <= LONGEST_HOLD_SECONDS:  # a longer one stops the run, which is told
                self._around.note(f"nothing is sent to {self.endpoint}/{self.model} for {seconds:.0f} s: {why}")

    def _learn(self, slot: Slot, reply: Reply) -> None:
        starts, headers = self._starts, reply.headers
        if starts.counts_tokens:
            taken = self._estimate.learn(slot.body, reply.body)
            if taken is not None:
                starts.owe(taken - slot.tokens)
        if not states_limits(headers):
            return
        learned = starts.learn(limits_of(headers))
        if learned is not None:
            rpm, tpm = learned
            self._around.log.write("learned", endpoint=self.endpoint, model=self.model, rpm=rpm, tpm=tpm)
        empty_seconds = empty_for_seconds(reply)
        if empty_seconds:
            self._pause(empty_seconds, "nothing remains of the limit that the service states")

    def _tokens_of(self, body: bytes) -> float:
        tokens = self._estimate.of(body)
        most = self._starts.lowest_tpm
        if tokens > most and not self._has_noted_size:
            self._has_noted_size = True
            self._around.note(
                f"a request to {self.endpoint}/{self.model} takes about {tokens:,.0f} tokens, more than a minute's "
                f"{most:,.0f} (tpm): it is sent alone, and the next one waits until it is paid off. Raise tpm, or ask "
                "for fewer tokens (max_tokens)"
            )
        return tokens

    def _tell(self, change: Change) -> None:
        was, limit, why = change
        self._around.log.write("limit", endpoint=self.endpoint, model=self.model, limit=limit, was=was, why=why)
