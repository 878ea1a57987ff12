"""What the official SDK sends for the calls that tasks make with `client`, caught by the recorder on its way."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import openai
from pydantic import BaseModel, Field

from llmbatch.cassette.recording.recorder import recording
from llmbatch.cassette.store import Store
from llmbatch.cassette.upkeep.alias import add_alias
from llmbatch.client.openai_client import build_client
from llmbatch.config import Endpoint, ModelSettings, ResolvedModel
from llmbatch.pacing import Pacing
from tests.golden.golden_file import Golden
from tests.support.fault_server import FaultServer

FILE = "client.jsonl"
LIBRARIES = ("openai", "pydantic", "httpx2", "vcrpy")
BASE_URL = "http://golden.example/v1"
MESSAGES: list[Any] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "é \U0001f600 \u2028"}]
VECTOR: Any = {"type": "object", "properties": {"z": {"type": "integer"}, "a": {"type": "integer"}}}


class Verdict(BaseModel):
    """What it is."""

    category: Literal["a", "b"]
    why: str = Field(description="In one sentence.", max_length=100)
    share: float | None = None


CALLS: dict[str, Callable[[openai.AsyncOpenAI], Awaitable[object]]] = {
    "chat": lambda client: client.chat.completions.create(model="m", messages=MESSAGES),
    "chat-parameters": lambda client: client.chat.completions.create(
        model="m", messages=MESSAGES, temperature=1, top_p=0.001, seed=2**60, stop=["\n"], max_tokens=5, n=2
    ),
    "chat-probabilities": lambda client: client.chat.completions.create(
        model="m", messages=MESSAGES, logprobs=True, top_logprobs=5, logit_bias={"50256": -100}
    ),
    "chat-tools": lambda client: client.chat.completions.create(
        model="m",
        messages=MESSAGES,
        tools=[{"type": "function", "function": {"name": "f", "parameters": VECTOR}}],
        tool_choice="auto",
        extra_body={"top_k": 5},
        extra_headers={"OpenAI-Beta": "x=v1"},
        extra_query={"api-version": "2026-01-01"},
    ),
    "chat-parse": lambda client: client.chat.completions.parse(model="m", messages=MESSAGES, response_format=Verdict),
    "responses": lambda client: client.responses.create(model="m", input="Say", temperature=0.5),
    "responses-turns": lambda client: client.responses.create(model="m", input=MESSAGES, instructions="Be brief."),
    "embeddings": lambda client: client.embeddings.create(model="m", input=["a", "é"], encoding_format="float"),
    "embeddings-default": lambda client: client.embeddings.create(model="m", input="a", dimensions=8),
}


def client_requests() -> Iterator[Golden]:
    """Yield each request as the recorder keys it, as if the server were at BASE_URL."""
    with FaultServer() as server, tempfile.TemporaryDirectory() as parent:
        for name, call in CALLS.items():
            folder = Path(parent) / name
            folder.mkdir()
            add_alias(folder, server.base_url, BASE_URL)
            with Store(folder, record_mode="new_episodes") as store:
                with recording(store, on_warning=lambda text: None):
                    asyncio.run(_send(server.base_url, call))
                [interaction] = store
                yield Golden.of(name, interaction.call)


async def _send(base_url: str, call: Callable[[openai.AsyncOpenAI], Awaitable[object]]) -> None:
    client = build_client(ResolvedModel("g/m", Endpoint("g", base_url), "m", ModelSettings("m")), Pacing(1))
    async with client:
        await call(client)
