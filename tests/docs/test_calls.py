"""The programs of docs/calls.md as they stand there: recorded against a scripted service, then replayed offline."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import llmbatch
from tests.support.project import Project
from tests.support.scripted import ScriptedModel, calling, said

pytestmark = pytest.mark.system

PAGE = (Path(__file__).parents[2] / "docs" / "calls.md").read_text(encoding="utf-8")
PROGRAMS = dict(re.findall(r"`([\w]+\.py)`:\n\n```python\n(.*?)```", PAGE, re.DOTALL))


def chat(body: dict[str, Any]) -> dict[str, Any]:
    """Say what the programs of the page want to hear."""
    turns = body["messages"]
    if "json_schema" in str(body.get("response_format")) and "tools" not in body:
        if body.get("n"):
            return said(None) | {"choices": [said('{"value":"yes"}')["choices"][0]] * body["n"]}
        if _shape(body) == "answer":
            return said('{"value":"no"}')
        return said({"Summary": '{"summary":"s"}', "Score": '{"reason":"r","score":7}'}[_shape(body)])
    if "tools" in body and turns[-1]["role"] != "tool":
        return calling(("price", {"item": "apple"}), ("price", {"item": "pear"}))
    if "tools" in body:
        return said('{"euro": 1.3}')
    return said("yes")


def _shape(body: dict[str, Any]) -> str:
    return str(body["response_format"]["json_schema"]["name"])


def script(path: str, body: dict[str, Any]) -> Any:
    if path == "/v1/embeddings":
        return {"data": [{"embedding": [float(len(body["input"])), 1.0]}], "usage": {"prompt_tokens": 1}}
    if path == "/v1/responses":
        whole = {"id": "r", "object": "response", "status": "completed", "output": []}
        delta, done = {"type": "response.output_text.delta", "delta": "4"}, {"type": "response.completed"}
        events: list[dict[str, Any]] = [delta, {**done, "response": whole}]
        return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()
    return chat(body)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[llmbatch.Run, llmbatch.Run]]:
    """Every program, recorded and then replayed with the service gone."""
    root = tmp_path_factory.mktemp("calls")
    runs: dict[str, tuple[llmbatch.Run, llmbatch.Run]] = {}
    with ScriptedModel(script) as model:
        project = Project(root, model.base_url)
        project.configure('model = "service/m"')
        (root / "experiments" / "data" / "dot.png").write_bytes(b"an image")
        for name, text in PROGRAMS.items():
            (root / "experiments" / name).write_text(text, encoding="utf-8")
        first = {name: llmbatch.run(root / "experiments" / name, record_mode="new_episodes") for name in PROGRAMS}
    for name, ran in first.items():
        runs[name] = ran, llmbatch.run(root / "experiments" / name, record_mode="none")
    return runs


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_of_the_page_replays_to_the_rows_that_it_recorded(
    name: str, recorded: dict[str, tuple[llmbatch.Run, llmbatch.Run]]
) -> None:
    """Every case is ok, and nothing is paid the second time."""
    live, replayed = recorded[name]

    assert {"ok"} == set(live.rows["llmbatch_status"]), live.rows["llmbatch_error"].to_list()
    assert (0, 0) == (replayed.exit_code, replayed.paid)
    assert live.rows.equals(replayed.rows)
