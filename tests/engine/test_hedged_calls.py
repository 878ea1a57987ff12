"""A call that is late when nothing is left to start gets a second one: the first answer counts, both are recorded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from llmbatch.call.failure import Failure
from llmbatch.call.values import Reply
from llmbatch.cassette.case import CaseContext
from llmbatch.cassette.store import Store
from llmbatch.client.chat import Envelope
from llmbatch.client.retry import RetrySettings
from llmbatch.client.transport import Transport
from llmbatch.config import Config, Endpoint, resolve_model
from llmbatch.engine.attempt import Attempts
from llmbatch.engine.health import Health
from llmbatch.engine.hedger import Hedger
from llmbatch.engine.hedging import LEAST_SEEN, Hedging
from llmbatch.engine.live import LiveEngine
from llmbatch.engine.protocol import Order
from llmbatch.engine.sending import GIVEN_UP, Sender
from llmbatch.engine.teller import Teller
from llmbatch.money.book import PriceBook
from llmbatch.money.purse import Purse
from llmbatch.money.spending import Spending
from llmbatch.pacing import Pacing
from llmbatch.runner.stop import Stop
from tests.support.fault_server import FaultServer

USUAL_SECONDS = 0.005
LONGEST_SECONDS = 20.0
Opened = Callable[..., AbstractAsyncContextManager[LiveEngine]]


class Heard:
    """A run log that keeps what it is told of hedges, and the totals."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.totals: list[dict[str, Any]] = []

    def write(self, event: str, /, **details: Any) -> None:
        if event == "hedge":
            self.events.append(details)
        elif event == "calls":
            self.totals.append(details)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def engine(store: Store, server: FaultServer, heard: Heard) -> Opened:
    @asynccontextmanager
    async def opened(*, max_retries: int = 0, room: int = 8, **settings: Any) -> AsyncIterator[LiveEngine]:
        """Open an engine that has seen quick answers of its model, with nothing left to start."""
        stop = Stop()
        hedger = Hedger(lambda flight: room, stop.sleep, hedging=Hedging(least_seconds=0.0))
        for _ in range(LEAST_SEEN):
            hedger.hedging.answered("service/m", USUAL_SECONDS)
        async with Transport() as transport:
            health = Health(stop)
            spending = Spending(PriceBook(), Purse(), record_prices=store.use_prices, on_end=stop.by_error)
            attempts = Attempts(
                store, Sender(store, transport), spending, Pacing(8), stop, health, Teller(heard, spending.bills)
            )
            engine = LiveEngine(attempts, RetrySettings(max_retries, **settings), health, hedger)
            await engine.obtain(ordered(store, server, "the first call to a service goes alone"))
            await asyncio.to_thread(server.reset)
            engine.nothing_left_to_start()
            async with asyncio.timeout(LONGEST_SECONDS):
                yield engine
            await engine.close()

    return opened


def ordered(store: Store, server: FaultServer, text: str) -> Order:
    """Return the order of one question."""
    config = Config(Path(), endpoints={"service": Endpoint("service", server.base_url)})
    model = resolve_model(config, "service/m", lambda name: None)
    body = Envelope("m", {}).around([{"role": "user", "content": text}]).wire
    request = store.address("POST", model.chat_url, model.key_headers).request(body)
    return Order(store.call(request, 0, 0), body, model, CaseContext("case", 0))


def usage_of(outcome: Reply | Failure) -> dict[str, int]:
    assert isinstance(outcome, Reply)
    usage: dict[str, int] = json.loads(outcome.body)["usage"]
    return usage


async def failed(store: Store) -> str:
    """Return the message of the one failed attempt that is kept, once there is one."""
    while not (kept := list(store.failures())):
        await asyncio.to_thread(store.failures)
    assert len(kept) == 1
    return f"{kept[0].kind}: {kept[0].message}"


async def test_a_service_that_hangs_on_the_last_call_does_not_hold_the_run(
    engine: Opened, store: Store, server: FaultServer, heard: Heard
) -> None:
    """The second call is the answer; the first is given up at the end, and is on record as what may be paid for."""
    order = ordered(store, server, "[[hang x1]] hello")

    async with engine() as opened:
        outcome = await opened.obtain(order)
        assert store.find_failure(order.call.key) is None

    assert isinstance(outcome, Reply)
    assert outcome == store.find(order.call.key)
    assert (server.truth()["calls"], order.case.paid, order.case.replies) == (2, 1, [outcome])
    assert f"duplicate: {GIVEN_UP}" == await failed(store)
    [hedge] = heard.events
    assert (hedge["won"], hedge["key"], hedge["case"]) == (True, order.call.key.hex(), "case")
    assert hedge["after_seconds"] >= 2 * USUAL_SECONDS


async def test_the_answer_that_comes_second_is_recorded_for_its_cost(
    engine: Opened, store: Store, server: FaultServer, heard: Heard
) -> None:
    """Whichever comes first: the case has one answer, and the other is kept whole among the failures."""
    order = ordered(store, server, "[[delay=0.05]] hello")

    async with engine() as opened:
        outcome = await opened.obtain(order)
        said = await failed(store)
        bill = opened.attempts.spending.bills["service/m"]

    assert (server.truth()["answered"], order.case.paid, order.case.replies) == (2, 1, [outcome])
    assert said == "duplicate: a second answer to a call that has one"
    assert bill.attempts == 3, "the call that goes first, this one, and its hedge"
    assert bill.tokens_out >= 2 * usage_of(outcome)["completion_tokens"]
    duplicate = store.find_failure(order.call.key)
    assert duplicate is not None
    assert duplicate.reply is not None
    assert b'"usage"' in duplicate.reply.body
    assert len(heard.events) == 1


async def test_a_hedge_brings_the_answer_where_the_call_itself_fails(
    engine: Opened, store: Store, server: FaultServer
) -> None:
    """What failed waits for the other before it is the outcome."""
    order = ordered(store, server, "[[500 x1]] [[delay=0.05]] hello")

    async with engine() as opened:
        outcome = await opened.obtain(order)

    assert isinstance(outcome, Reply)
    assert server.truth()["calls"] == 2


async def test_where_both_fail_the_call_has_failed(engine: Opened, store: Store, server: FaultServer) -> None:
    """Once, for everybody who asks it in this run."""
    order = ordered(store, server, "[[500]] [[delay=0.05]] hello")

    async with engine() as opened:
        outcome = await opened.obtain(order)
        again = await opened.obtain(order)

    assert isinstance(outcome, Failure)
    assert outcome is again
    assert server.truth()["calls"] == 2


async def test_a_call_that_waits_for_its_next_try_is_spared_it_by_the_hedge(
    engine: Opened, store: Store, server: FaultServer
) -> None:
    """The answer is there: nothing further is sent, however long the wait would have been."""
    order = ordered(store, server, "[[500 x1]] [[delay=0.05]] hello")

    async with engine(max_retries=5, backoff_seconds=100, random=lambda: 1.0) as opened:
        outcome = await opened.obtain(order)

    assert isinstance(outcome, Reply)
    assert server.truth()["calls"] == 2


async def test_without_a_free_slot_nothing_is_sent(engine: Opened, store: Store, server: FaultServer) -> None:
    """A hedge is an attempt like any other; the limit is what was promised to the service."""
    order = ordered(store, server, "[[delay=0.1]] hello")

    async with engine(room=0) as opened:
        await opened.obtain(order)

    assert server.truth()["calls"] == 1


async def test_a_call_is_hedged_once(engine: Opened, store: Store, server: FaultServer) -> None:
    """The second one may be late as well; a third is never sent."""
    order = ordered(store, server, "[[delay=0.2]] hello")

    async with engine() as opened:
        await opened.obtain(order)

    assert server.truth()["calls"] == 2


async def test_a_second_call_that_is_given_up_is_in_the_totals(
    engine: Opened, store: Store, server: FaultServer, heard: Heard
) -> None:
    """It was sent, and may be paid for."""
    order = ordered(store, server, "[[drip x1]] [[hang]] [[delay=0.1]] hello")

    async with engine() as opened:
        outcome = await opened.obtain(order)
    opened.attempts.teller.tell_totals()

    assert isinstance(outcome, Reply)
    assert [False] == [hedge["won"] for hedge in heard.events]
    assert [(3, 1)] == [(total["calls"], total["hedged"]) for total in heard.totals]
