"""Each step of a reply has its own time, and its own words when that is over: for `ask` and for `client` alike."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import openai
import pytest

from llmbatch.call.failure import FailureKind as Kind
from llmbatch.client.openai_client import build_client
from llmbatch.client.retry import RetrySettings
from llmbatch.client.transport import Transport
from llmbatch.config import Config, Endpoint, ResolvedModel, Timeouts, resolve_model
from llmbatch.pacing import Pacing
from llmbatch.policy import verdict_of_exception
from tests.support.late_server import late_server

LONG = 30.0
FIRST_BYTE = Timeouts(LONG, 0.05, LONG, LONG, "x")
IDLE = Timeouts(LONG, LONG, 0.05, LONG, "x")
TOTAL = Timeouts(LONG, LONG, LONG, 0.1, "x")
LATE = [
    ("hang", FIRST_BYTE, "no first byte within 0.05 s (first_byte_timeout_seconds of x)"),
    ("stall", IDLE, "no further byte of the reply within 0.05 s (idle_timeout_seconds of x)"),
    ("blanks", TOTAL, "no whole reply within 0.1 s (timeout_seconds of x)"),
    ("hang", TOTAL, "no whole reply within 0.1 s (timeout_seconds of x)"),
]
NAMES = ["first byte", "idle", "blank lines", "total before the first byte"]


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with late_server() as running:
        yield running


@contextmanager
def deaf_port() -> Iterator[int]:
    """A port where connections are neither taken nor refused: the queue of those that wait is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for each in waiting:
            each.close()


@pytest.mark.parametrize(("how", "timeouts", "said"), LATE, ids=NAMES)
async def test_what_took_too_long_is_said_with_its_setting(url: str, how: str, timeouts: Timeouts, said: str) -> None:
    """Blank lines keep a reply from standing still, and the time for all of it is over all the same."""
    async with Transport() as transport:
        with pytest.raises(TimeoutError) as caught:
            await transport.post(f"{url}/{how}", b"{}", {}, timeouts)

    verdict = verdict_of_exception(caught.value)
    assert (Kind.TIMEOUT, said, 1) == (verdict.kind, verdict.message, verdict.max_retries)


@pytest.mark.parametrize(("how", "timeouts", "said"), LATE, ids=NAMES)
async def test_the_sdks_client_is_held_to_the_same_times(url: str, how: str, timeouts: Timeouts, said: str) -> None:
    """httpx2 knows no time for the first byte and none for a whole reply; the task gets the SDK's own error."""
    settings = RetrySettings(max_retries=0)

    async with build_client(model_of(f"{url}/{how}", timeouts), Pacing(1), settings) as client:
        with pytest.raises(openai.APITimeoutError) as caught:
            await client.responses.create(model="m", input="x")

    assert f"{said[:-2]}endpoint x)" == str(caught.value.__cause__)


async def test_a_connection_that_is_not_made_is_no_reply_that_is_late() -> None:
    """Nothing was sent, so nothing was billed: it is tried again like any other trouble with connecting."""
    timeouts = Timeouts(0.05, LONG, LONG, LONG, "x")
    with deaf_port() as port:
        async with Transport() as transport:
            with pytest.raises(TimeoutError) as caught:
                await transport.post(f"http://127.0.0.1:{port}/", b"{}", {}, timeouts)
        model = model_of(f"http://127.0.0.1:{port}", timeouts)
        async with build_client(model, Pacing(1), RetrySettings(max_retries=0)) as client:
            with pytest.raises(openai.APITimeoutError) as caught_of_client:
                await client.embeddings.create(model="m", input="x")

    verdict = verdict_of_exception(caught.value)
    assert Kind.CONNECT_ERROR is verdict.kind
    assert verdict.message == "no connection within 0.05 s (connect_timeout_seconds of x)"
    assert isinstance(caught_of_client.value.__cause__, httpx2.ConnectTimeout)


async def test_a_reply_in_time_is_a_reply(url: str) -> None:
    """The same server, asked for something that it answers, over connections that are used again."""
    timeouts = Timeouts(5.0, 5.0, 5.0, 5.0)
    async with Transport() as transport:
        replies = [await transport.post(f"{url}/answer", b"{}", {}, timeouts) for _ in range(3)]
    async with build_client(model_of(url, timeouts), Pacing(1), RetrySettings(max_retries=0)) as client:
        answer = await client.chat.completions.create(model="m", messages=[])

    assert [reply.status for reply in replies] == [200] * 3
    assert answer.choices[0].message.content == "yes"


def model_of(base_url: str, timeouts: Timeouts) -> ResolvedModel:
    endpoint = Endpoint(
        "x",
        base_url,
        timeout_seconds=timeouts.total,
        connect_timeout_seconds=timeouts.connect,
        first_byte_timeout_seconds=timeouts.first_byte,
        idle_timeout_seconds=timeouts.idle,
    )
    return resolve_model(Config(Path(), endpoints={"x": endpoint}), "x/m")
