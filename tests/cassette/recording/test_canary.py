"""A client that is not intercepted is found before it sends; one that is, shows it once and costs no line."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx2
import openai
import pytest

from llmbatch.cassette.recording.canary import CANARY_REPLY, Canary, catch
from llmbatch.cassette.recording.guard import unrecorded_refused
from llmbatch.cassette.recording.recorder import recording
from llmbatch.cassette.store import Store
from llmbatch.client.openai_client import build_client
from llmbatch.client.transport import Transport
from llmbatch.config import Config, Endpoint, resolve_model
from llmbatch.errors import InternalError
from llmbatch.pacing import Pacing
from tests.support.origin import Origin, origin


@pytest.fixture
def server() -> Iterator[Origin]:
    with origin() as server:
        yield server


def _client(server: Origin, heard: list[InternalError]) -> openai.AsyncOpenAI:
    endpoint = Endpoint("service", server.url + "/v1", connect_timeout_seconds=1)
    model = resolve_model(Config(Path(), endpoints={"service": endpoint}), "service/m", lambda name: None)
    return build_client(model, Pacing(4), on_unintercepted=heard.append)


async def test_the_transport_of_ask_is_proved_once_for_all_who_wait(tmp_path: Path) -> None:
    """Sixty-four first calls at once share one canary, and no later call sends another."""
    sent: list[str] = []

    async with Transport() as transport:

        async def send(url: str) -> object:
            sent.append(url)
            return await transport.post(url, b"", {})

        canary = Canary("ask", send)
        with Store(tmp_path / "tape", record_mode="new_episodes") as store, recording(store), unrecorded_refused([]):
            await asyncio.gather(*(canary.prove() for _ in range(64)))
            await canary.prove()
            recorded = len(store)

    assert (1, 0) == (len(sent), recorded)


async def test_a_transport_that_nobody_intercepts_is_named() -> None:
    """Nothing answers to the canary's host; every further call is told the same."""
    heard: list[InternalError] = []

    async with Transport() as transport:

        async def send(url: str) -> object:
            return await transport.post(url, b"", {})

        canary = Canary("`ask` (aiohttp)", send, heard.append)
        with unrecorded_refused([]):
            for _ in range(2):
                with pytest.raises(InternalError, match=r"requests of `ask` \(aiohttp\) do not pass the recorder"):
                    await canary.prove()

    assert len(heard) == 1
    assert "nothing was sent" in heard[0].details["fix"]


async def test_an_answer_from_elsewhere_is_no_proof() -> None:
    """A captive portal answers to any name: what counts is that the recorder has seen the canary."""

    async def send(url: str) -> object:
        return CANARY_REPLY

    with pytest.raises(InternalError):
        await Canary("a client", send).prove()


async def test_another_clients_canary_is_no_proof() -> None:
    """Each has a URL of its own."""

    async def send(url: str) -> object:
        catch(url + "0")
        return CANARY_REPLY

    with pytest.raises(InternalError):
        await Canary("a client", send).prove()


async def test_a_client_proves_itself_before_its_first_request(server: Origin, tmp_path: Path) -> None:
    """Once for each client, through its own transport; a replayed request needs no proof."""
    heard: list[InternalError] = []

    with Store(tmp_path / "tape", record_mode="new_episodes") as store, recording(store), unrecorded_refused([]):
        async with _client(server, heard) as client:
            first, second = [await client.post("/a", cast_to=httpx2.Response, body={"n": n}) for n in range(2)]
        recorded = len(store)

    assert (first.status_code, second.status_code) == (200, 200)
    assert (2, 2) == (recorded, len(server.bodies))
    assert heard == []


async def test_a_client_that_nobody_intercepts_sends_nothing(server: Origin) -> None:
    """Not even the canary: it is caught where the client's connections begin."""
    heard: list[InternalError] = []

    async with _client(server, heard) as client:
        with pytest.raises((openai.APIConnectionError, InternalError)) as refused:
            await client.post("/a", cast_to=httpx2.Response, body={})

    cause = refused.value if isinstance(refused.value, InternalError) else refused.value.__cause__
    assert isinstance(cause, InternalError)
    assert "`client` of service (httpx2" in cause.what
    assert "connection pool" in cause.details["canary"]
    assert heard == [cause]
    assert server.bodies == []
