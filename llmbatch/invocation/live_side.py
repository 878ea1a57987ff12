"""The live side of a run while nobody needs it: nothing is imported or built before the first miss or `client`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from llmbatch.cassette.store import Store
from llmbatch.config import ResolvedModel
from llmbatch.engine.protocol import Order, Outcome
from llmbatch.engine.stalls import Waiting
from llmbatch.invocation.prepared import Prepared
from llmbatch.money.spending import Spending
from llmbatch.runlog import Log
from llmbatch.runner.counters import Counters
from llmbatch.runner.stop import Stop

if TYPE_CHECKING:
    import openai

    from llmbatch.invocation.live import Live


class LiveSide:
    """An engine, and a builder of clients, that is made by its first use. For one event loop."""

    def __init__(
        self,
        prepared: Prepared,
        store: Store,
        stop: Stop,
        *,
        counters: Counters,
        spending: Spending,
        note: Callable[[str], None],
        log: Log,
    ) -> None:
        self._arguments: tuple[Any, ...] = (prepared.config, prepared.concurrency, store, stop)
        self._options: dict[str, Any] = {
            "counters": counters,
            "spending": spending,
            "rpm": prepared.settings.rpm,
            "tpm": prepared.settings.tpm,
            "note": note,
            "log": log,
        }
        self._hedge = prepared.hedge
        self._live: Live | None = None
        self._is_last = False

    async def obtain(self, order: Order) -> Outcome:
        """Return the outcome of the call once it is in the cassette, as every engine does."""
        return await self._built().engine.obtain(order)

    def build_client(self, model: ResolvedModel) -> openai.AsyncOpenAI:
        """Return a ready SDK client for the model's endpoint."""
        return self._built().build_client(model)

    def nothing_left_to_start(self) -> None:
        """Hear that no further case will be started."""
        self._is_last = self._hedge
        if self._is_last and self._live is not None:
            self._live.engine.nothing_left_to_start()

    @property
    def answers(self) -> int:
        """How many calls were answered."""
        return 0 if self._live is None else self._live.answers

    def late_after_seconds(self) -> float | None:
        """Return how long a call may take before it is late, of the slowest model; None where that is not known."""
        return None if self._live is None else self._live.late_after_seconds()

    def waiting(self, now: float) -> list[Waiting]:
        """Return what the cases whose calls are on their way wait for."""
        return [] if self._live is None else self._live.waiting(now)

    async def close(self) -> None:
        """End what is still on its way and close all connections."""
        if self._live is not None:
            await self._live.close()

    def _built(self) -> Live:
        if self._live is None:
            from llmbatch.invocation.live import Live  # noqa: PLC0415 - imports aiohttp, so the recorder is entered now

            self._live = Live(*self._arguments, **self._options)
            # what the first batch of rows needs takes a third of a second to load: while the first call is on its way,
            # and not when all slots are busy and the loop must not stand still
            threading.Thread(target=import_module, args=("polars",), name="llmbatch-import", daemon=True).start()
            if self._is_last:  # a short run: every case was started before the first had a miss
                self._live.engine.nothing_left_to_start()
        return self._live
