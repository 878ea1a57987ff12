"""The SDK's client goes through our gate and our policy, and nowhere else."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from llmbatch.client.openai_client import build_client
from llmbatch.client.retry import Attempted, RetrySettings
from llmbatch.config import Config, Endpoint, ResolvedModel, Secret, resolve_model
from llmbatch.errors import NoAnswerRecorded
from llmbatch.pacing import Pacing
from tests.support.fault_server import FaultServer


def model_of(server: FaultServer, **endpoint: Any) -> ResolvedModel:
    local = Endpoint("local", server.base_url, "LOCAL_KEY", **endpoint)
    return resolve_model(Config(Path(), endpoints={"local": local}, keys={"local": Secret("k-123")}), "local/m")


async def no_wait(seconds: float) -> None:
    await asyncio.sleep(0)


async def ask(client: openai.AsyncOpenAI, text: str, **options: Any) -> Any:
    return await client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}], **options)


async def test_failed_attempts_are_made_again_below_the_sdk(server: FaultServer) -> None:
    """The task sees one call and its answer."""
    attempts: list[Attempted[Any]] = []
    settings = RetrySettings(sleep=no_wait, on_attempt=attempts.append)

    async with build_client(model_of(server), Pacing(2), settings) as client:
        answer = await ask(client, "[[500 x2]] [[429 retry-after=0]] [[cut x1]] hello")

    assert answer.choices[0].message.content
    assert (server.truth()["calls"], len(attempts)) == (5, 5)


async def test_the_last_failure_reaches_the_task_as_the_sdks_own_error(server: FaultServer) -> None:
    """An author's `except openai.RateLimitError` works as ever."""
    settings = RetrySettings(sleep=no_wait, max_retries=1)

    async with build_client(model_of(server), Pacing(2), settings) as client:
        with pytest.raises(openai.InternalServerError):
            await ask(client, "[[503]]")
        with pytest.raises(openai.RateLimitError):
            await ask(client, "[[quota]]")
        with pytest.raises(openai.APIConnectionError):
            await ask(client, "[[cut]]")

    assert server.truth()["calls"] == 2 + 1 + 2


async def test_a_reply_that_never_ends_is_a_timeout_of_the_whole_call(server: FaultServer) -> None:
    """The endpoint's time-out is for all of it."""
    resolved = model_of(server, timeout_seconds=0.2)

    async with build_client(resolved, Pacing(1), RetrySettings(sleep=no_wait)) as client:
        with pytest.raises(openai.APITimeoutError):
            await ask(client, "[[hang]]")

    assert server.truth()["calls"] == 2


async def test_no_more_attempts_are_in_flight_than_the_gate_allows(server: FaultServer) -> None:
    """A slot is held for an attempt and given back, failed attempts included."""
    pacing = Pacing(3)

    async with build_client(model_of(server), pacing, RetrySettings(sleep=no_wait)) as client:
        await asyncio.gather(*(ask(client, f"[[500 x1]] [[delay=0.01]] {number}") for number in range(12)))

    assert pacing.gate.in_use == 0
    assert pacing.gate.highest_in_use == 3
    assert server.truth()["max_in_flight"] <= 3


async def test_streams_embeddings_and_responses_work(server: FaultServer) -> None:
    """Whatever the SDK offers goes the same way."""
    async with build_client(model_of(server), Pacing(2)) as client:
        stream = await ask(client, "hello", stream=True)
        said = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        vectors = await client.embeddings.create(model="m", input=["a", "b"])
        response = await client.responses.create(model="m", input="hi")

    assert said.startswith("The ")
    assert len(vectors.data) == 2
    assert response.output_text.startswith("The ")


async def test_only_the_configured_key_and_headers_are_sent(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Organisation and project of the environment would be a hidden part of a request."""
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-secret")
    seen: list[httpx2.Headers] = []
    client = build_client(model_of(server, headers={"x-team": "a"}), Pacing(1))
    real = httpx2.AsyncHTTPTransport.handle_async_request

    async def spy(self: Any, request: httpx2.Request) -> httpx2.Response:
        seen.append(request.headers)
        return await real(self, request)

    monkeypatch.setattr(httpx2.AsyncHTTPTransport, "handle_async_request", spy)
    async with client:
        await ask(client, "hello")

    assert [(sent["authorization"], sent["x-team"]) for sent in seen] == [("Bearer k-123", "a")]
    assert not [name for sent in seen for name in sent if name.startswith("openai-")]


async def test_a_miss_of_a_replay_passes_unchanged_and_unretried_and_takes_no_slot(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The patch stands below the policy and above the gate: that is what makes a hit free."""
    calls: list[int] = []
    pacing = Pacing(1)

    async def refuse(self: Any, request: httpx2.Request) -> httpx2.Response:
        calls.append(pacing.gate.in_use)
        raise NoAnswerRecorded("no answer is recorded")

    monkeypatch.setattr(httpx2.AsyncHTTPTransport, "handle_async_request", refuse)
    async with build_client(model_of(server), pacing) as client:
        with pytest.raises(NoAnswerRecorded):
            await ask(client, "hello")

    assert calls == [0]


async def test_what_is_replayed_is_no_news_of_the_service(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorded refusal was reviewed when it came: what is known of a service is what it says now."""
    reviewed: list[Attempted[Any]] = []

    def review(attempted: Attempted[Any]) -> Attempted[Any]:
        reviewed.append(attempted)
        return attempted

    async def replay(self: Any, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(400, stream=httpx2.ByteStream(b'{"error": {"message": "as recorded"}}'))

    async with build_client(model_of(server), Pacing(1), RetrySettings(review=review)) as client:
        with monkeypatch.context() as patched:
            patched.setattr(httpx2.AsyncHTTPTransport, "handle_async_request", replay)
            with pytest.raises(openai.BadRequestError, match="as recorded"):
                await ask(client, "hello")
        with pytest.raises(openai.BadRequestError):
            await ask(client, "[[400]]")

    assert len(reviewed) == server.truth()["calls"] == 1
