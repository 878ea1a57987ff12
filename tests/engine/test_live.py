"""Equal orders are one call; who gives up waiting neither loses the answer nor takes it from the others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from llmbatch.call.failure import Failure, FailureKind
from llmbatch.call.values import Reply
from llmbatch.cassette.case import CaseContext
from llmbatch.cassette.store import Store
from llmbatch.client.chat import Envelope
from llmbatch.client.retry import RetrySettings
from llmbatch.client.transport import Transport
from llmbatch.config import Config, Endpoint, ResolvedModel, resolve_model
from llmbatch.engine.attempt import Attempts
from llmbatch.engine.health import Health
from llmbatch.engine.live import LiveEngine
from llmbatch.engine.protocol import Order, Outcome
from llmbatch.engine.sending import Sender
from llmbatch.engine.teller import Teller
from llmbatch.money.book import PriceBook
from llmbatch.money.purse import Purse
from llmbatch.money.spending import Spending
from llmbatch.pacing import Pacing
from llmbatch.runlog import NoLog
from llmbatch.runner.stop import Stop
from tests.support.fault_server import FaultServer


@pytest.fixture
async def engine(store: Store) -> AsyncIterator[LiveEngine]:
    stop = Stop()
    health = Health(stop)
    async with Transport() as transport:
        spending = Spending(PriceBook(), Purse(), record_prices=store.use_prices, on_end=stop.by_error)
        attempts = Attempts(
            store, Sender(store, transport), spending, Pacing(8), stop, health, Teller(NoLog(), spending.bills)
        )
        engine = LiveEngine(attempts, RetrySettings(backoff_seconds=0), health)
        yield engine
        await engine.close()


def ordered(store: Store, server: FaultServer, text: str, case: str = "case") -> Order:
    """Return the order of one question."""
    endpoint = Endpoint("service", server.base_url)
    model: ResolvedModel = resolve_model(
        Config(Path(), endpoints={"service": endpoint}), "service/m", lambda name: None
    )
    body = Envelope("m", {}).around([{"role": "user", "content": text}]).wire
    request = store.address("POST", model.chat_url, model.key_headers).request(body)
    return Order(store.call(request, 0, 0), body, model, CaseContext(case, 0))


async def arrived(server: FaultServer, calls: int) -> None:
    """Return when the server has seen so many calls."""
    while (await asyncio.to_thread(server.truth))["calls"] < calls:
        pass


async def test_equal_orders_at_once_are_one_call(engine: LiveEngine, store: Store, server: FaultServer) -> None:
    """The first is paid for, the others are given what is on disk."""
    orders = [ordered(store, server, "same", f"case {number}") for number in range(5)]

    outcomes = await asyncio.gather(*(engine.obtain(order) for order in orders))

    assert server.truth()["calls"] == 1
    assert all(outcome == store.find(orders[0].call.key) for outcome in outcomes)
    assert [(1, 0)] + [(0, 1)] * 4 == [(order.case.paid, order.case.cached) for order in orders]


@pytest.mark.parametrize("gives_up", [0, 1])
async def test_who_gives_up_takes_nothing_from_the_others(
    engine: LiveEngine, store: Store, server: FaultServer, gives_up: int
) -> None:
    """Neither the one whose order was sent nor one who joined it; both are told that something is on its way."""
    orders = [ordered(store, server, "[[delay=0.05]]", f"case {number}") for number in range(2)]
    waiting = [asyncio.create_task(engine.obtain(order)) for order in orders]
    await arrived(server, 1)
    waiting[gives_up].cancel()
    outcome = await waiting[1 - gives_up]

    assert isinstance(outcome, Reply)
    assert [number == gives_up for number in range(2)] == [order.case.abandoned for order in orders]
    assert server.truth()["calls"] == 1


async def test_an_answer_that_nobody_waits_for_is_recorded(
    engine: LiveEngine, store: Store, server: FaultServer
) -> None:
    """The case knows of it until it is there: whoever runs the case waits for it."""
    order = ordered(store, server, "[[delay=0.05]]")
    waiting = asyncio.create_task(engine.obtain(order))
    await arrived(server, 1)
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    pending: set[asyncio.Future[Outcome]] = set(order.case.pending)
    await asyncio.wait(pending)

    assert len(pending) == 1
    assert store.find(order.call.key) is not None


async def test_equal_orders_share_a_failure_then_and_later(
    engine: LiveEngine, store: Store, server: FaultServer
) -> None:
    """What the service could not answer with all its retries is not asked again by the same run."""
    orders = [ordered(store, server, "[[500]]", f"case {number}") for number in range(3)]
    engine.retry = RetrySettings(max_retries=1, backoff_seconds=0)

    at_once = await asyncio.gather(*(engine.obtain(order) for order in orders[:2]))
    later = await engine.obtain(orders[2])

    assert server.truth()["calls"] == 2
    assert all(isinstance(outcome, Failure) and outcome.kind is FailureKind.SERVER_ERROR for outcome in at_once)
    assert at_once == [later, later]


async def test_the_end_of_the_engine_ends_what_is_on_its_way(
    engine: LiveEngine, store: Store, server: FaultServer
) -> None:
    """A second Ctrl-C does not wait for a service."""
    waiting = asyncio.create_task(engine.obtain(ordered(store, server, "[[hang]]")))
    await arrived(server, 1)
    await engine.close()

    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_what_was_not_sent_is_no_attempt_that_may_be_billed(
    engine: LiveEngine, store: Store, server: FaultServer
) -> None:
    """Of two that are broken off one waited for the other's slot."""
    await engine.obtain(ordered(store, server, "the first call goes alone"))
    engine.attempts = replace(engine.attempts, pacing=Pacing(1))
    orders = [ordered(store, server, f"[[hang]] {number}") for number in range(2)]
    waiting = [asyncio.create_task(engine.obtain(order)) for order in orders]
    await arrived(server, 2)
    await engine.close()
    await asyncio.gather(*waiting, return_exceptions=True)
    spending = engine.attempts.spending

    assert (2, 1) == (spending.bill.attempts, spending.bill.unanswered)
    assert spending.purse.in_flight == 0


async def test_an_answer_that_was_recorded_meanwhile_costs_nothing(
    engine: LiveEngine, store: Store, server: FaultServer
) -> None:
    """As where `client` has asked the same: the recorder answers, and nothing is sent."""
    orders = [ordered(store, server, "hello", f"case {number}") for number in range(2)]

    outcomes = [await engine.obtain(order) for order in orders]

    assert outcomes[0] == outcomes[1]
    assert [(1, 0), (0, 1)] == [(order.case.paid, order.case.cached) for order in orders]
    assert server.truth()["calls"] == engine.attempts.spending.bill.attempts == 1
