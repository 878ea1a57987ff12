"""HTTP that a task does itself is recorded as well, whatever library it uses, and replays with the service gone."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.support.fault_server import FaultServer
from tests.support.origin import origin
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


def test_nothing_is_connected_to_past_the_recorder(project: Project, server: FaultServer) -> None:
    """A raw socket is no HTTP library: it ends a run that may pay, unless it is allowed, and offline it is a miss."""
    project.write_experiment(SOCKET.replace("PORT", str(server.port)))
    project.write_samples(commits(30))
    online = project.exp()
    statuses = project.rows()["llmbatch_status"].to_list()
    project.configure(f'allow_hosts = ["localhost:{server.port}"]')
    allowed, offline = project.exp(), project.exp("--offline")

    assert (online.code, allowed.code, offline.code) == (4, 0, 1), online.err
    assert statuses == ["not_run"] * 30
    assert f"UnrecordedConnection: a connection to localhost:{server.port}" in online.err
    assert f'allow_hosts = ["localhost:{server.port}"]' in online.err
    assert project.rows()["llmbatch_status"].to_list() == ["not_recorded"] * 30


UNKNOWN_STACK = """
import threading
import httpcore2
from llmbatch import Ask, parametrize, task

def sends():
    try:
        httpcore2.request("POST", "URL/v1/chat/completions", content=b"{}")
    except Exception:
        pass

@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/model-a"])
async def hides(sample, ask: Ask):
    thread = threading.Thread(target=sends)
    thread.start()
    thread.join()
    return await ask("{message}", sample)
"""


def test_an_unknown_http_library_ends_the_run_before_it_pays(project: Project, server: FaultServer) -> None:
    """Also in a thread that swallows the error: the run has heard of it, and `ask` sends nothing any more."""
    project.write_experiment(UNKNOWN_STACK.replace("URL", server.url))
    project.write_samples(commits(5))
    finished = project.exp()

    assert finished.code == 4, finished.err
    assert "by httpcore2" in finished.err
    assert server.truth()["calls"] == 0


UNPATCHED = """
import aiohttp, httpx2
from llmbatch import Ask, parametrize, task

PLACES = [(aiohttp.ClientSession, "_request"), (httpx2.AsyncHTTPTransport, "handle_async_request")]
REAL = {owner: getattr(owner, name) for owner, name in PLACES}

def take_the_patches_away():
    for owner, name in PLACES:
        setattr(owner, name, REAL[owner])

@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/model-a"])
async def by_ask(sample, ask: Ask):
    take_the_patches_away()
    try:
        return await ask("{message}", sample)
    except Exception:
        return "no matter"

@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/model-a"])
async def by_client(sample, client):
    take_the_patches_away()
    try:
        await client.models.list()
    except Exception:
        return "no matter"
"""


@pytest.mark.parametrize(
    ("task", "client"), [("by_ask", "`ask` (aiohttp"), ("by_client", "`client` of service (httpx2")]
)
def test_a_client_that_is_not_intercepted_ends_the_run_before_it_pays(
    project: Project, server: FaultServer, task: str, client: str
) -> None:
    """As after a release of a library that moves what vcrpy patches; whatever the task makes of the error."""
    project.write_experiment(UNPATCHED)
    project.write_samples(commits(5))
    finished = project.exp(target=f"experiments/study.py::{task}")

    assert finished.code == 3, finished.err
    assert f"requests of {client}" in finished.err
    assert "nothing was sent" in finished.err
    assert server.truth()["calls"] == 0


def test_a_replay_imports_no_http_library(project: Project, server: FaultServer) -> None:
    """Neither the recorder nor a client is needed for what is in the cassette."""
    project.write_samples(commits(2))
    recorded = project.exp()
    experiment = project.root / "experiments" / "study.py"
    experiment.write_text(experiment.read_text(encoding="utf-8") + LISTS_MODULES, encoding="utf-8")
    replayed, resumed = project.exp("--offline"), project.exp()

    assert (recorded.code, replayed.code, resumed.code) == (0, 0, 0), replayed.err
    assert ("imported: []" in replayed.out, "imported: []" in resumed.out) == (True, True)


LISTS_MODULES = """
import atexit, sys

@atexit.register
def say():
    names = ("vcr", "http.client", "aiohttp", "requests", "urllib3", "httpx2", "openai", "tenacity")
    print("imported:", [name for name in names if name in sys.modules])
"""


def _network_namespace() -> list[str]:
    """Return the command that starts a process without any network, or skip the test with the reason."""
    command = ["unshare", "-n"]
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare(1) here")
    tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"no network namespace may be made here: {tried.stderr.strip()}")
    return command


def test_a_replay_needs_no_network_at_all(project: Project, server: FaultServer) -> None:
    """Proved by the system and not by us: the process has no interface but a loopback that is down."""
    namespace = _network_namespace()
    project.write_experiment(TASKS)
    project.write_samples(commits(2))
    recorded = project.exp()
    first = project.rows_file().read_bytes()
    replayed = project.exp("--offline", under=namespace)

    assert (recorded.code, replayed.code) == (0, 0), replayed.err
    assert project.rows_file().read_bytes() == first


def test_a_replay_asks_no_proxy(project: Project, server: FaultServer) -> None:
    """The variables are read by every HTTP library, each in its own way."""
    project.write_experiment(TASKS)
    project.write_samples(commits(2))
    recorded = project.exp()
    first = project.rows_file().read_bytes()
    with origin() as proxy:
        names = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        project.environ |= dict.fromkeys(names, proxy.url)
        replayed = project.exp("--offline")
        asked = list(proxy.bodies)

    assert (recorded.code, replayed.code) == (0, 0), replayed.err
    assert asked == []
    assert project.rows_file().read_bytes() == first
