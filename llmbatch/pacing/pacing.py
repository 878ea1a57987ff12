"""The pace of one run: a lane for each endpoint and model, the gates and limits that lanes share, and their end."""

from __future__ import annotations

import asyncio
import hashlib
import platform
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any

from llmbatch.config import Endpoint, ModelSettings, Secret
from llmbatch.pacing.booking import Rates
from llmbatch.pacing.concurrency import Concurrency
from llmbatch.pacing.gate import Gate
from llmbatch.pacing.lane import Lane
from llmbatch.pacing.ledger import Limit
from llmbatch.pacing.slot import Slot
from llmbatch.pacing.surroundings import Surroundings

_LONG_SECONDS = 86_400.0


class Pacing:
    """Admits the attempts of a run. For one event loop; `close` it.

    `concurrency` bounds the attempts in flight over all endpoints. An endpoint's `concurrency`, `rpm` and `tpm` bound
    all its models together, a model's bound that model; `flags` go before both. `until_end` sleeps for so many
    seconds and returns true when the run has ended: whoever waits here is then let through.
    """

    def __init__(
        self,
        concurrency: int,
        around: Surroundings | None = None,
        *,
        keys: Mapping[str, Secret] | None = None,
        flags: Rates | None = None,
        until_end: Callable[[float], Awaitable[bool]] | None = None,
    ) -> None:
        self.gate = Gate(concurrency)
        self._around = around or Surroundings()
        self._keys = keys or {}
        self._flags = flags or Rates()
        self._until_end = until_end
        self._watch: asyncio.Future[None] | None = None
        self._is_over = False
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._endpoints: dict[str, tuple[Gate | None, Limit]] = {}

    def admit(self, endpoint: Endpoint, model: str, body: bytes, *, again: bool = False) -> Coroutine[Any, Any, Slot]:
        """Wait for the turn of one attempt; `model` is its name on the wire. Release the slot it gives.

        `again` says that it is not the first of its call: it goes before those that are.
        """
        lane = self._lanes.get((endpoint.name, model))
        if lane is None:
            lane = self._lanes[endpoint.name, model] = self._make_lane(endpoint, model)
            if self._is_over:
                lane.end()
        return lane.admit(body, again=again)

    def free(self, endpoint: Endpoint, model: str) -> int:
        """Return how many more attempts at a model could be in flight now; 0 where one waits, or none was made."""
        lane = self._lanes.get((endpoint.name, model))
        return 0 if lane is None else lane.free

    def is_full(self, endpoint: Endpoint, model: str) -> bool:
        """Whether a slot is what an attempt at a model would wait for, and no limit or pause."""
        lane = self._lanes.get((endpoint.name, model))
        return lane is not None and lane.is_full

    def end(self) -> None:
        """Let everybody through who waits, now and later: nothing is sent any more."""
        self._is_over = True
        for lane in self._lanes.values():
            lane.end()

    async def close(self) -> None:
        """End, and give back what is held."""
        self.end()
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch
        self._around.ledger.close()

    def history(self) -> list[str]:
        """Return what became of the limits that moved, a sentence for each."""
        return [said for lane in self._lanes.values() if (said := _history(lane))]

    def _make_lane(self, endpoint: Endpoint, model: str) -> Lane:
        if self._watch is None and self._until_end is not None and not self._is_over:
            self._watch = asyncio.ensure_future(self._watch_end())
        gate, limit = self._of_endpoint(endpoint)
        settings = next((each for each in endpoint.models.values() if each.name == model), ModelSettings(model))
        own = Rates(
            settings.rpm if self._flags.rpm is None else None, settings.tpm if self._flags.tpm is None else None
        )
        bounds = [self.gate.limit, *(each for each in (endpoint.concurrency, settings.concurrency) if each is not None)]
        concurrency = Concurrency(min(bounds))
        gates = [self.gate, *([gate] if gate is not None else []), Gate(concurrency.limit)]
        limits = [limit] if limit.rates.known else []
        limits.append(Limit(self._name(endpoint, "model", model), own))
        return Lane(endpoint.name, model, self._around, gates=gates, concurrency=concurrency, limits=limits)

    def _of_endpoint(self, endpoint: Endpoint) -> tuple[Gate | None, Limit]:
        found = self._endpoints.get(endpoint.name)
        if found is None:
            flags = self._flags
            rates = Rates(
                endpoint.rpm if flags.rpm is None else flags.rpm, endpoint.tpm if flags.tpm is None else flags.tpm
            )
            gate = Gate(endpoint.concurrency) if endpoint.concurrency is not None else None
            found = self._endpoints[endpoint.name] = (gate, Limit(self._name(endpoint, "endpoint"), rates))
        return found

    def _name(self, endpoint: Endpoint, *of: str) -> bytes:
        """Return by what name a limit is shared: a digest, keyed by the machine, from which nothing can be read."""
        key = self._keys.get(endpoint.name)
        parts = (endpoint.base_url, key.reveal() if key is not None else "", *of)
        text = "\0".join(parts).encode("utf-8", "surrogatepass")
        machine = hashlib.sha256(platform.node().encode("utf-8", "surrogatepass")).digest()
        return hashlib.blake2b(text, digest_size=16, key=machine, person=b"llmbatch-pacing").digest()

    async def _watch_end(self) -> None:
        assert self._until_end is not None
        while not await self._until_end(_LONG_SECONDS):
            pass
        self.end()


def _history(lane: Lane) -> str:
    concurrency = lane.concurrency
    said = []
    if concurrency.changes:
        said.append(
            f"attempts in flight went from {concurrency.ceiling} down to {concurrency.lowest} "
            f"and ended at {concurrency.limit}"
        )
    if lane.pauses:
        said.append(f"it was paused {lane.pauses} times" if lane.pauses > 1 else "it was paused once")
    return f"{lane.endpoint}/{lane.model}: {', '.join(said)}" if said else ""
