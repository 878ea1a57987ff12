"""What an experiment asks is heard of, whatever library asks: a miss is explained, and nothing asked is pruned."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from llmbatch.cassette.store import Store
from llmbatch.cli import main
from tests.support.fault_server import FaultServer
from tests.support.project import Project, commits

pytestmark = pytest.mark.system

TASKS = """
import aiohttp
import requests
from llmbatch import parametrize, task

def body_of(sample, model):
    return {"model": model.name, "messages": [{"role": "user", "content": sample["message"]}], "temperature": 0.0}

def said(document):
    return document["choices"][0]["message"]["content"]

@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/asked"])
async def by_ask(sample, ask):
    first = await ask("Say something of {message}", sample)
    second = await ask("Is this true?\\n\\n{said}", {"said": first.text})
    return {"said": second.text}

@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/client"])
async def by_client(sample, client, model):
    reply = await client.chat.completions.create(**body_of(sample, model))
    return {"said": reply.choices[0].message.content}

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
"""
FILE = "experiments/study.py"


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Eight samples, four libraries, one of them asking twice: forty interactions; then the service is gone."""
    with FaultServer() as server:
        project = Project(tmp_path_factory.mktemp("recorded") / "project", server.base_url)
        project.write_experiment(TASKS)
        project.write_samples(commits(8))
        finished = project.exp()
    assert finished.code == 0, finished.err
    return project


@pytest.fixture
def recorded(once: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of that project which may be changed."""
    project = Project(tmp_path / "project", once.base_url)
    shutil.copytree(once.root, project.root, dirs_exist_ok=True)
    monkeypatch.chdir(project.root)
    return project


def test_every_library_is_heard_of(recorded: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """Threads included: an answer that is not heard of would be pruned."""
    codes = [main(["cassette", "why", FILE, "-q"]), main(["cassette", "prune", FILE, "-q", "--apply"])]

    said = capsys.readouterr().out
    assert [0, 0] == codes
    assert "all 32 cases are answered" in said
    assert "still asked       40 interactions" in said
    assert ["segment-00001.yaml"] == [path.name for path in recorded.cassette.iterdir()]


def test_a_request_of_any_library_is_explained(recorded: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """The field that differs, of foreign HTTP as of asks; a second ask whose words follow from the first as well."""
    recorded.write_experiment(TASKS.replace('"temperature": 0.0', '"temperature": 0.5').replace("true?", "right?"))

    code = main(["cassette", "why", FILE, "-q"])

    said = capsys.readouterr().out
    assert 1 == code
    assert "24 calls: temperature differs" in said
    assert "temperature: 0.0 -> 0.5" in said
    assert "8 calls: user message, line 1 differs" in said
    assert 'user message, line 1: "Is this true?" -> "Is this right?"' in said
    assert "8 answered, 32 not recorded" in said


def test_what_is_no_longer_asked_goes_and_the_rest_replays(
    recorded: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rows of the experiment as it is now are the same before and after."""
    start = TASKS.index("@task", TASKS.index("async def by_client"))
    recorded.write_experiment(TASKS[: TASKS.index("@task")] + TASKS[start:])
    assert 0 == recorded.exp("--offline").code
    rows = recorded.rows_file().read_bytes()

    code = main(["cassette", "prune", FILE, "-q", "--apply"])

    assert 0 == code
    assert "by_ask[asked]" in capsys.readouterr().out
    with Store(recorded.cassette) as store:
        assert 16 == len(store)
    assert 0 == recorded.exp("--offline").code
    assert rows == recorded.rows_file().read_bytes()


def test_an_attempt_that_failed_is_told_apart_from_one_never_made(
    project: Project, server: FaultServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing differs there: asking again is all that helps."""
    project.configure("max_retries = 0")
    project.write_samples([*commits(2), {"id": "bad", "message": "[[503]]", "label": "adaptive"}])
    project.exp()
    server.stop()
    monkeypatch.chdir(project.root)

    code = main(["cassette", "why", FILE, "-q"])

    said = capsys.readouterr().out
    assert 1 == code
    assert "2 calls: asked before, and the service gave no answer (server_error)" in said
    assert "0 not recorded" in said
