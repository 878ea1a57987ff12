"""The live side of a run: one pace, one pool of connections, one retry policy for `ask` and for `client`.

Importing it imports aiohttp and tenacity; the openai SDK only when a task takes `client`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmbatch.cassette.store import Store
from llmbatch.client.retry import Attempted, RetrySettings
from llmbatch.client.transport import Transport
from llmbatch.config import Config, ResolvedModel, resolve_model
from llmbatch.engine.attempt import Attempts
from llmbatch.engine.flight import Flight
from llmbatch.engine.health import Halt, Health
from llmbatch.engine.hedger import Hedger
from llmbatch.engine.live import LiveEngine, refuse
from llmbatch.engine.sending import Sender
from llmbatch.engine.stalls import Waiting
from llmbatch.engine.teller import Teller
from llmbatch.invocation.paying import tell_counters
from llmbatch.money.spending import Spending
from llmbatch.money.tab import Tab
from llmbatch.pacing import Pacing, Rates, SharedLedger, Surroundings
from llmbatch.policy import Verdict
from llmbatch.runlog import Log
from llmbatch.runner.counters import Counters

if TYPE_CHECKING:
    import openai

LONG_WAIT_SECONDS = 10.0
"""A wait from here on is worth a line: the run has not hung."""


class Live:
    """Builds the engine and the clients of one run, and closes their connections."""

    def __init__(
        self,
        config: Config,
        concurrency: int,
        store: Store,
        halt: Halt,
        *,
        counters: Counters,
        spending: Spending,
        rpm: int | None = None,
        tpm: int | None = None,
        note: Callable[[str], None],
        log: Log,
    ) -> None:
        self._config = config
        self._store = store
        self._spending = spending
        self._note = note
        self._log = log
        self._counters = counters
        self._transport = Transport()
        self._halt = halt
        self._health = Health(halt, log, note=note)
        self._retry = RetrySettings(
            max_retries=config.max_retries, sleep=halt.sleep, on_wait=self._waits, on_attempt=self._goes_on
        )
        around = Surroundings(SharedLedger(note=note), log, note)
        self._pacing = Pacing(concurrency, around, keys=config.keys, flags=Rates(rpm, tpm), until_end=halt.sleep)
        self._teller = Teller(log, spending.bills)
        sender = Sender(store, self._transport)
        attempts = Attempts(store, sender, spending, self._pacing, halt, self._health, self._teller)
        self._hedger = Hedger(self._free_slots, halt.sleep, self._count_hedge)
        self.engine = LiveEngine(attempts, self._retry, self._health, self._hedger)
        self.answers = 0

    def build_client(self, model: ResolvedModel) -> openai.AsyncOpenAI:
        """Return a ready SDK client for the model's endpoint; it shares the pace and the retries."""
        from llmbatch.client.openai_client import build_client  # noqa: PLC0415 - the SDK takes long to import

        return build_client(
            model,
            self._pacing,
            replace(
                self._teller.of_client(model, self._retry),
                review=lambda attempted: self._health.review(model, attempted),
            ),
            passage=self._health.passage(model),
            tab=Tab(self._spending, model, lambda text: resolve_model(self._config, text)),
            before_send=lambda: refuse(model, self._halt, self._store),
            on_unintercepted=self._halt.by_error,
        )

    async def close(self) -> None:
        """End what is still on its way and close all connections of `ask`."""
        await self.engine.close()
        await self._pacing.close()
        await self._transport.close()
        for said in self._pacing.history():
            self._note(said)
        self._teller.tell_totals()

    def late_after_seconds(self) -> float | None:
        """Return how long a call may take before it is late, of the slowest model; None where that is not known."""
        return max(self._hedger.hedging.late_after().values(), default=None)

    def waiting(self, now: float) -> list[Waiting]:
        """Return what the orders of `ask` that are on their way wait for."""
        flights = list(self.engine.flights.under_way.values())
        return [Waiting(flight.case, self._waits_for(flight), now - flight.stage_since) for flight in flights]

    def _waits_for(self, flight: Flight) -> str:
        match flight.stage:
            case "service":
                return "service"
            case "back-off":
                return "its next try"
            case "slot":
                model = flight.order.model
                return "a slot" if self._pacing.is_full(model.endpoint, model.name) else "the pace"
            case "turn":
                return "a service that is being tried, or the budget"

    def _free_slots(self, flight: Flight) -> int:
        model = flight.order.model
        return self._pacing.free(model.endpoint, model.name)

    def _count_hedge(self) -> None:
        self._counters.hedged += 1

    def _goes_on(self, attempted: Attempted[Any]) -> None:
        self.answers += attempted.verdict.final
        self._counters.waiting = ""
        tell_counters(self._spending.bill, self._counters)

    def _waits(self, verdict: Verdict, seconds: float) -> None:
        self._counters.waiting = f"waiting {seconds:.0f} s: {verdict.kind}"
        if seconds >= LONG_WAIT_SECONDS and verdict.retry != "global":  # a pause of all is told once, by the pacing
            self._note(f"waiting {seconds:.0f} s before the next try: {verdict.message}")
