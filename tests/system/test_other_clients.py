"""HTTP that a task does itself is recorded as well, whatever library it uses, and replays with the service gone."""

from __future__ import annotations

import pytest

from tests.support.fault_server import FaultServer
from tests.support.project import Project, commits

pytestmark = pytest.mark.system

TASKS = """
import json
import urllib.request
import aiohttp
import requests
from llmbatch import parametrize, task

def body_of(sample, model, temperature=0.0):
    messages = [{"role": "user", "content": sample["message"]}]
    return {"model": model.name, "messages": messages, "temperature": temperature}

def said(document):
    return document["choices"][0]["message"]["content"]

@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/chat"])
async def by_client(sample, client, model):
    replies = [await client.chat.completions.create(**body_of(sample, model, 1.0)) for _ in range(2)]
    return {"said": "|".join(reply.choices[0].message.content for reply in replies)}

@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/responses"])
async def by_responses(sample, client, model):
    reply = await client.responses.create(model=model.name, input=sample["message"])
    return {"said": reply.output_text}

@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/embeddings"])
async def by_embeddings(sample, client, model):
    reply = await client.embeddings.create(model=model.name, input=[sample["message"]], encoding_format="float")
    return {"said": json.dumps(reply.data[0].embedding)}

@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/requests"])
def by_requests(sample, model):
    return {"said": said(requests.post(f"{model.base_url}/chat/completions", json=body_of(sample, model)).json())}

@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/aiohttp"])
async def by_aiohttp(sample, model):
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{model.base_url}/chat/completions", json=body_of(sample, model)) as reply:
            return {"said": said(await reply.json())}

@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/urllib"])
def by_urllib(sample, model):
    request = urllib.request.Request(
        f"{model.base_url}/chat/completions",
        json.dumps(body_of(sample, model)).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request) as reply:
        return {"said": said(json.load(reply))}
"""
NUMBER_OF_TASKS = 6


def test_every_http_library_is_recorded_and_replayed(project: Project, server: FaultServer) -> None:
    """Rows are equal to the byte, threads included, and a replay makes no connection."""
    project.write_experiment(TASKS)
    project.write_samples(commits(6))
    recorded = project.exp("--concurrency", "8")
    first, rows = project.rows_file().read_bytes(), project.rows()
    calls = server.truth()["calls"]
    server.stop()
    replayed = project.exp("--offline")
    replayed_bytes = project.rows_file().read_bytes()
    resumed = project.exp()

    assert rows["llmbatch_status"].to_list() == ["ok"] * 6 * NUMBER_OF_TASKS, recorded.err
    assert rows["said"].n_unique() == 6 * NUMBER_OF_TASKS
    assert all(one != two for one, two in (text.split("|") for text in rows["said"][:6]))
    assert calls == 6 * (NUMBER_OF_TASKS + 1)
    assert (recorded.code, replayed.code, resumed.code) == (0, 0, 0), replayed.err
    assert replayed_bytes == first
    assert project.rows_file().read_bytes() == first


def test_what_is_not_recorded_is_refused_offline_as_such(project: Project, server: FaultServer) -> None:
    """Also where an SDK wraps our error in one of its own."""
    project.write_experiment(TASKS)
    project.write_samples(commits(1))
    finished = project.exp("--offline")

    assert finished.code == 1
    assert project.rows()["llmbatch_status"].to_list() == ["not_recorded"] * NUMBER_OF_TASKS
    assert "6 cases have no recorded answer" in finished.err
    assert server.truth()["calls"] == 0


SOCKET = """
import socket
from llmbatch import task

@task(samples="data/commits.jsonl", id="id")
def looks_around(sample):
    socket.create_connection(("127.0.0.1", PORT), timeout=5).close()
    return {"reached": True}
"""


def test_offline_nothing_is_connected_to_by_any_way(project: Project, server: FaultServer) -> None:
    """A raw socket is no HTTP library, and a replay blocks it all the same."""
    project.write_experiment(SOCKET.replace("PORT", str(server.port)))
    project.write_samples(commits(1))
    online, offline = project.exp(), project.exp("--offline")

    assert (online.code, offline.code) == (0, 1), online.err
    assert project.rows()["llmbatch_status"].to_list() == ["not_recorded"]
