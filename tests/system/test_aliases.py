"""A server that moved: the cassette says that it is the same one, and whole runs go on at the new address."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmbatch.cassette.store import Store
from llmbatch.cli import main
from tests.support.fault_server import FaultServer
from tests.support.project import Project, commits

pytestmark = pytest.mark.system

TASKS = """
import requests
from typing import Any, Literal
from llmbatch import Ask, parametrize, task

@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/model-a"])
async def asks(sample, ask: Ask):
    return await ask(Literal["a", "b"], "classify.md", sample)

@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/model-a"])
def posts(sample, model):
    body = {"model": model.name, "messages": [{"role": "user", "content": sample["message"]}]}
    return {"said": requests.post(f"{model.base_url}/chat/completions", json=body).text}
"""


def test_a_run_goes_on_at_an_aliased_address(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is recorded is replayed, what is new is asked there, and all of it lies under the recorded address."""
    with FaultServer() as old, FaultServer() as new:
        project = Project(tmp_path / "project", old.base_url)
        project.write_experiment(TASKS)
        project.write_samples(commits(3))
        recorded = project.exp()
        first = project.rows_file().read_bytes()
        old.stop()

        project.base_url = new.base_url
        project.configure("")
        unknown = project.exp("--offline")
        added = main(
            ["cassette", "alias", str(project.cassette), "--base-url", new.base_url, "--recorded-as", old.base_url]
        )
        replayed = project.exp("--offline")
        again = project.rows_file().read_bytes()
        calls_before = new.truth()["calls"]
        project.write_samples(commits(5))
        more = project.exp()
        calls = new.truth()["calls"]
        rows = project.rows_file().read_bytes()
    (project.root / "llmbatch.toml").write_text("", encoding="utf-8")
    elsewhere = project.exp("--offline")
    with Store(project.cassette) as store:
        addresses = {interaction.call.request.url for interaction in store}

    codes = [run.code for run in (recorded, unknown, replayed, more, elsewhere)]
    assert ([0, 1, 0, 0, 0], 0) == (codes, added), more.err + elsewhere.err
    assert first == again
    assert (0, 4) == (calls_before, calls)
    assert rows == project.rows_file().read_bytes()
    assert {f"{old.base_url}/chat/completions"} == addresses
    assert ["segment-00001.yaml"] == [path.name for path in project.cassette.glob("segment-*")]
    assert 0 == main(["cassette", "verify", str(project.cassette)])
    assert "10 interactions" in capsys.readouterr().out
