"""The key of a service is in nothing that a run leaves behind or says, wherever it was echoed."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.support.fault_server import FaultServer
from tests.support.project import Project, commits

pytestmark = pytest.mark.system

KEY = "sk-canary-0123456789/abc+DEF"


def leaks(project: Project, *texts: str) -> list[str]:
    """Return the files below the project, and the texts, that hold the key."""
    files = [path for path in project.root.rglob("*") if path.is_file()]
    found = [str(path.relative_to(project.root)) for path in files if KEY.encode() in path.read_bytes()]
    return found + [text for text in texts if KEY in text]


@pytest.fixture
def guarded() -> FaultServer:
    return FaultServer(require_key=KEY)


TASKS = """
import os
import requests
from typing import Any
from llmbatch import Ask, parametrize, task

KEY = os.environ["LLMBATCH_TEST_KEY"]
BODY = {"model": "model-a", "messages": [{"role": "user", "content": "one"}]}

@task(samples="data/commits.jsonl", truth="label", id="id")
@parametrize("model", ["service/model-a"])
async def asks(sample, ask: Ask):
    return await ask(f"{{message}} and by mistake {KEY}", sample)

@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/model-a"])
async def raises(sample, ask: Ask):
    local = {"authorization": f"Bearer {KEY}"}
    await ask("{message}", sample)
    raise RuntimeError(f"could not use {local}")

@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/model-a"])
async def uses_client(sample, client, model):
    reply = await client.chat.completions.create(model=model.name, messages=BODY["messages"])
    return {"said": reply.choices[0].message.content, "by_mistake": [model.api_key, {"deep": KEY}]}

@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/model-a"])
def uses_requests(sample, model):
    headers = {"authorization": f"Bearer {model.api_key}", "x-api-key": KEY}
    url = f"{model.base_url}/chat/completions?key={KEY}"
    return {"said": requests.post(url, json=BODY, headers=headers).text}

@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/model-a"])
def is_echoed(sample, model):
    url = model.base_url.removesuffix("/v1")
    good = requests.post(f"{url}/echo/{KEY}", data=f"the key is {KEY}").text
    bad = requests.post(f"{url}/v1/no/{KEY}", json=BODY, headers={"authorization": f"Bearer {KEY}"}).text
    return {"good": good, "bad": bad}
"""


def test_a_key_is_in_no_file_and_no_output_of_a_run(guarded: FaultServer, tmp_path: Path) -> None:
    """Headers, URLs, prompts, echoes, error bodies, tracebacks, returned values: each may hold it."""
    with guarded as server:
        project = Project(tmp_path / "project", server.base_url, key=KEY)
        project.write_experiment(TASKS)
        project.write_samples(commits(2))
        finished = project.exp("--format", "csv", "--format", "jsonl")
        rows = project.rows()
    log = (project.rows_file().parent / "run.jsonl").read_text(encoding="utf-8")

    assert rows["llmbatch_status"].to_list() == ["ok"] * 2 + ["task_error"] * 2 + ["ok"] * 6, finished.err
    assert "could not use" in log
    assert "<secret>" in log
    assert not leaks(project, finished.out, finished.err)


WIRE = """
import asyncio, base64, json, os, urllib.parse, urllib.request
import aiohttp, httpx2, requests
from llmbatch import parametrize, task

KEY = os.environ["LLMBATCH_TEST_KEY"]
HEADERS = {name: f"canary-of-{name}-0123" for name in CREDENTIALS}
QUERY = {name: f"canary-of-{name}-0123" for name in PARAMETERS}
FORMS = [KEY, urllib.parse.quote(KEY, safe=""), json.dumps(KEY).replace("/", "\\/"),
         base64.b64encode(f"user:{KEY}".encode()).decode()]

def urls(model):
    server = model.base_url.removesuffix("/v1").replace("//", "//canary-of-user-0123:canary-of-password-0123@")
    return [model.base_url.removesuffix("/v1") + "/echo", f"{server}/v1/no?{urllib.parse.urlencode(QUERY)}"]

def headers_for(url):
    # a credential that is no key variable is known to nobody: a service that echoes it puts it into its answer
    return HEADERS if "canary" in url else {"authorization": f"Bearer {KEY}", "x-api-key": KEY}

def by_requests(url, body):
    return requests.post(url, data=body, headers=headers_for(url)).text

def by_httpx2(url, body):
    return httpx2.post(url, content=body, headers=headers_for(url)).text

def by_urllib(url, body):
    headers, url = headers_for(url), url.replace("canary-of-user-0123:canary-of-password-0123@", "")
    try:
        return urllib.request.urlopen(urllib.request.Request(url, body, headers)).read().decode()
    except urllib.error.HTTPError as error:
        return error.read().decode()

def by_aiohttp(url, body):
    async def ask():
        headers = {name: value for name, value in headers_for(url).items() if name != "authorization" or "@" not in url}
        async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as reply:
            return await reply.text()
    return asyncio.run(ask())

@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/model-a"])
@parametrize("library", ["by_requests", "by_httpx2", "by_urllib", "by_aiohttp"])
def sends(sample, model, library):
    body = json.dumps({"model": library, "messages": FORMS}).encode()
    return {"said": [globals()[library](url, body) for url in urls(model)]}

@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/model-a"])
async def by_client(sample, client, model):
    replies = []
    for url in urls(model):
        url, given = url.partition("?")[0].replace("canary-of-user-0123:canary-of-password-0123@", ""), headers_for(url)
        options = {"headers": given, "params": {} if given is not HEADERS else QUERY}
        try:
            replies.append((await client.post(url, cast_to=httpx2.Response, body={"f": FORMS}, options=options)).text)
        except Exception as error:
            replies.append(repr(error))
    return {"said": replies}
"""
CREDENTIALS = (
    *("authorization", "api-key", "x-api-key", "x-goog-api-key", "openai-organization", "openai-project"),
    *("cookie", "proxy-authorization", "x-amz-security-token"),
)
PARAMETERS = ("key", "token", "signature")


def test_no_library_gets_a_credential_into_a_file(guarded: FaultServer, tmp_path: Path) -> None:
    """A dozen canaries, each where a service takes a credential, and the key in all forms that a service may echo."""
    with guarded as server:
        project = Project(tmp_path / "project", server.base_url, key=KEY)
        project.write_experiment(WIRE.replace("CREDENTIALS", repr(CREDENTIALS)).replace("PARAMETERS", repr(PARAMETERS)))
        project.write_samples(commits(1))
        finished = project.exp("--format", "jsonl")
        rows = project.rows()
        calls = server.truth()["calls"]
    (project.root / "experiments" / "study.py").unlink()
    texts = [path.read_bytes() for path in project.root.rglob("*") if path.is_file()]
    texts += [finished.out.encode(), finished.err.encode()]
    in_base64 = [base64.b64encode(f"user:{KEY}".encode()), base64.b64encode(b"canary-of-user-0123")[:-4]]

    assert rows.height == 5, finished.err
    assert rows["said"].null_count() == 0, finished.err
    assert calls >= 5
    assert any(b"<secret>" in text for text in texts)
    assert [text for text in texts if b"canary-of-" in text] == []
    assert [text for text in texts if any(form in text for form in in_base64)] == []
    assert not leaks(project, finished.out, finished.err)


def test_a_service_that_echoes_the_key_in_its_refusal_does_not_get_it_into_the_message(
    server: FaultServer, tmp_path: Path
) -> None:
    """The message that stops a run says what the service said."""
    project = Project(tmp_path / "project", f"{server.url}/no/{KEY}/v1".replace("+", "%2B"), key=KEY)
    project.write_samples(commits(2))
    finished = project.exp()

    (project.root / "llmbatch.toml").unlink()
    assert finished.code == 6, finished.err
    assert "<secret>" in finished.err
    assert not leaks(project, finished.out, finished.err)


def test_a_replay_needs_no_key_and_gives_the_same_bytes(guarded: FaultServer, tmp_path: Path) -> None:
    """What was scrubbed before it was stored is looked up scrubbed: a prompt that held the key still replays."""
    with guarded as server:
        project = Project(tmp_path / "project", server.base_url, key=KEY)
        project.write_samples(commits(3))
        recorded = project.exp()
        first = project.rows_file().read_bytes()
    del project.environ["LLMBATCH_TEST_KEY"]
    replayed = project.exp()

    assert (recorded.code, replayed.code) == (0, 0), replayed.err
    assert project.rows_file().read_bytes() == first
