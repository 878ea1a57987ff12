"""SDKs and HTTP libraries as they are, streams and files too: recorded, replayed with the service gone, and priced."""

from __future__ import annotations

import importlib.util
import json
import struct
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

import llmbatch
from tests.support.project import Project
from tests.support.scripted import ScriptedModel, said

pytestmark = pytest.mark.system

STUDY = """
from typing import Any

import aiohttp
import httpx2
import requests
from llmbatch import parametrize, task

ONE = [{"id": "a", "text": "one"}]
PIXEL = "data:image/png;base64,iVBORw0KGgo="

@task(samples=ONE)
@parametrize("model", ["service/m"])
async def responds(sample, client, model):
    content = [{"type": "input_text", "text": sample["text"]}, {"type": "input_image", "image_url": PIXEL}]
    reply = await client.responses.create(model=model.name, input=[{"role": "user", "content": content}])
    return {"said": reply.output_text}

@task(samples=ONE)
@parametrize("model", ["service/m"])
async def responds_as_a_stream(sample, client, model):
    events = await client.responses.create(model=model.name, input="stream", stream=True)
    return {"said": "".join([event.delta async for event in events if event.type == "response.output_text.delta"])}

@task(samples=ONE)
@parametrize("model", ["service/m"])
async def chats_as_a_stream(sample, client, model):
    stream = await client.chat.completions.create(
        model=model.name, messages=[{"role": "user", "content": "stream"}], stream=True,
        stream_options={"include_usage": True},
    )
    return {"said": "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])}

@task(samples=ONE)
@parametrize("model", ["service/m"])
async def embeds(sample, client, model):
    reply = await client.embeddings.create(model="embedder", input=[sample["text"], "two"])
    return {"said": " ".join(str(each.embedding) for each in reply.data)}

@task(samples=ONE)
@parametrize("model", ["service/m"])
async def uploads(sample, client, model):
    file = await client.files.create(file=("notes.txt", b"one\\ntwo"), purpose="user_data")
    content = [{"type": "input_file", "file_id": file.id}]
    reply = await client.responses.create(model=model.name, input=[{"role": "user", "content": content}])
    return {"said": f"{file.id} {reply.output_text}"}

def body(model):
    return {"model": model.name, "messages": [{"role": "user", "content": "stream"}], "stream": True}

@task(samples=ONE)
@parametrize("model", ["service/m"])
def by_requests(sample, model):
    with requests.post(f"{model.base_url}/chat/completions", json=body(model), stream=True, timeout=30) as reply:
        return {"said": str(sum(line.startswith(b"data:") for line in reply.iter_lines()))}

@task(samples=ONE)
@parametrize("model", ["service/m"])
async def by_httpx2(sample, model):
    async with httpx2.AsyncClient() as http:
        async with http.stream("POST", f"{model.base_url}/chat/completions", json=body(model) | {"seed": 1}) as reply:
            return {"said": str(sum([line.startswith("data:") async for line in reply.aiter_lines()]))}

@task(samples=ONE)
@parametrize("model", ["service/m"])
async def by_aiohttp(sample, model):
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{model.base_url}/chat/completions", json=body(model) | {"seed": 2}) as reply:
            return {"said": str(sum([line.startswith(b"data:") async for line in reply.content]))}

@task(samples=ONE)
@parametrize("model", ["service/m"])
async def asks_as_well(sample, ask, client, model):
    answer = await ask("{text}", sample)
    reply = await client.responses.create(model=model.name, input=answer.text)
    return {"said": reply.output_text}
"""
ANTHROPIC = """
import anthropic
from llmbatch import parametrize, task

def client(model):
    return anthropic.AsyncAnthropic(base_url=model.base_url.removesuffix("/v1"), api_key="none", max_retries=0)

def question(sample):
    return {"model": "claude", "max_tokens": 9, "messages": [{"role": "user", "content": sample["text"]}]}

@task(samples=[{"id": "a", "text": "one"}, {"id": "b", "text": "two"}], id="id")
@parametrize("model", ["service/m"])
async def talks(sample, model):
    async with client(model) as asked:
        message = await asked.messages.create(**question(sample))
        async with asked.messages.stream(**question(sample)) as stream:
            streamed = "".join([text async for text in stream.text_stream])
    return {"said": message.content[0].text, "streamed": streamed}
"""
USAGE = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}


def sse(*events: tuple[str, dict[str, Any]]) -> bytes:
    named = [(f"event: {name}\n" if name else "") + f"data: {json.dumps(data)}\n\n" for name, data in events]
    return "".join(named).encode()


def response(text: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    usage = {
        "input_tokens": 100,
        "output_tokens": 10,
        "total_tokens": 110,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    return {
        "id": "r",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "m",
        "usage": usage,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "output": [{"id": "o", "type": "message", "role": "assistant", "status": "completed", "content": [part]}],
    }


def script(path: str, body: dict[str, Any]) -> Any:
    """Answer as the services do whose paths these are."""
    answers = {"files": stored_file, "embeddings": embedded, "responses": responded, "messages": message}
    return answers.get(path.removeprefix("/v1/"), completed)(body)


def stored_file(body: dict[str, Any]) -> Any:
    about = {"filename": "n", "purpose": "user_data", "status": "processed"}
    return {"id": "file-1", "object": "file", "bytes": 7, "created_at": 1, **about}


def embedded(body: dict[str, Any]) -> Any:
    """Return vectors in base64: the SDK asks for that by itself."""
    data = [b64encode(struct.pack("<2f", len(text), 0.5)).decode() for text in body["input"]]
    listed = [{"object": "embedding", "index": at, "embedding": each} for at, each in enumerate(data)]
    return {"object": "list", "model": "embedder", "data": listed, "usage": USAGE}


def responded(body: dict[str, Any]) -> Any:
    if not body.get("stream"):
        return response("a reply")
    at = {"item_id": "o", "output_index": 0, "content_index": 0, "logprobs": []}
    events: list[dict[str, Any]] = [
        *({"type": "response.output_text.delta", "delta": delta, **at} for delta in ("by ", "bits")),
        {"type": "response.completed", "response": response("by bits")},
    ]
    return sse(*((event["type"], {**event, "sequence_number": number}) for number, event in enumerate(events)))


def completed(body: dict[str, Any]) -> Any:
    if not body.get("stream"):
        return said("an answer")
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    delta = {"role": "assistant", "content": "in bits"}
    choices = [{"index": 0, "delta": delta, "finish_reason": None}, {"index": 0, "delta": {}, "finish_reason": "stop"}]
    events: list[dict[str, Any]] = [
        *({**chunk, "choices": [choice]} for choice in choices),
        {**chunk, "choices": [], "usage": USAGE},
    ]
    return sse(*(("", event) for event in events)) + b"data: [DONE]\n\n"


def message(body: dict[str, Any]) -> Any:
    """Return what the messages API says, whole or in events."""
    text: dict[str, Any] = {"type": "text", "text": f"on {body['messages'][0]['content']}"}
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    about = {"id": "m", "type": "message", "role": "assistant", "model": "claude"}
    whole = {**about, **end, "usage": {"input_tokens": 5, "output_tokens": 2}}
    if not body.get("stream"):
        return {**whole, "content": [text]}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**whole, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text["text"]}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": end, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ]
    return sse(*((str(event["type"]), event) for event in events))


def recorded_and_replayed(home: Path, text: str) -> tuple[llmbatch.Run, llmbatch.Run, list[tuple[str, dict[str, Any]]]]:
    models = 'models.m = { name = "m", usd_per_million_in = 10.0, usd_per_million_out = 100.0 }\n'
    models += 'models.embed = { name = "embedder", usd_per_million_in = 1.0, usd_per_million_out = 0.0 }\n'
    with ScriptedModel(script) as model:
        project = Project(home, model.base_url, service=models)
        project.write_experiment(text)
        recorded = llmbatch.run(home / "experiments" / "study.py", record_mode="new_episodes")
        asked = model.asked
    return recorded, llmbatch.run(home / "experiments" / "study.py", record_mode="none"), asked


def test_sdks_and_libraries_are_recorded_as_they_are(tmp_path: Path) -> None:
    """One call each; a replay gives the same bytes, tokens and costs, which are those of the model that was asked."""
    recorded, replayed, asked = recorded_and_replayed(tmp_path, STUDY)
    rows = {row["llmbatch_task"]: row for row in recorded.iter_rows()}

    assert {"ok"} == set(recorded.rows["llmbatch_status"]), recorded.rows["llmbatch_error"].to_list()
    assert {
        "responds": "a reply",
        "responds_as_a_stream": "by bits",
        "chats_as_a_stream": "in bits",
        "embeds": "[3.0, 0.5] [3.0, 0.5]",
        "uploads": "file-1 a reply",
        "by_requests": "4",
        "by_httpx2": "4",
        "by_aiohttp": "4",
        "asks_as_well": "a reply",
    } == {name: row["said"] for name, row in rows.items()}
    assert len(rows) + 2 == len(asked) == recorded.paid
    call, ask = 100 * 10e-6 + 10 * 100e-6, 10 * 10e-6 + 2 * 100e-6
    costs = {name: row["llmbatch_cost_usd"] for name, row in rows.items()}
    assert costs.pop("embeds") == pytest.approx(100e-6)
    assert costs.pop("asks_as_well") == pytest.approx(call + ask)
    assert pytest.approx(dict.fromkeys(costs, call)) == costs
    assert (0, 0) == (replayed.exit_code, replayed.paid)
    assert recorded.rows.equals(replayed.rows)


@pytest.mark.skipif(
    importlib.util.find_spec("anthropic") is None, reason="NOT CHECKED: anthropic is not installed here"
)
def test_the_anthropic_sdk_is_recorded_as_it_is(tmp_path: Path) -> None:
    """Whole and streamed; a header of it is part of the key, and its credential is nowhere."""
    recorded, replayed, asked = recorded_and_replayed(tmp_path, ANTHROPIC)
    stored = b"".join(path.read_bytes() for path in (tmp_path / "cassettes" / "study").glob("*.yaml"))

    assert [("on one", "on one"), ("on two", "on two")] == recorded.rows.select("said", "streamed").rows()
    assert (4, 4) == (len(asked), recorded.paid)
    assert b"anthropic-version" in stored
    assert b"x-api-key" not in stored
    assert recorded.rows.equals(replayed.rows)
