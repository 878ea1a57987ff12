"""Texts to vectors: each text is one recorded call, shared by whoever asks for it."""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import llmbatch
from tests.support.project import Project
from tests.support.scripted import ScriptedModel

pytestmark = pytest.mark.system

STUDY = """
from typing import Any
from llmbatch import AnswerError, Ask, task

@task(samples=SAMPLES, id="id")
async def near(sample: dict[str, Any], ask: Ask) -> dict[str, Any]:
    own, common, again = await ask.embed([sample["text"], "common", sample["text"]], model="service/e")
    return {"own": own, "common": common, "same": own == again}

@task(samples=[{"id": "x", "texts": ["fine", "bad"]}, {"id": "y", "texts": ["odd"]}], id="id")
async def fails(sample: dict[str, Any], ask: Ask) -> dict[str, Any]:
    return {"vectors": await ask.embed(sample["texts"], model="service/e")}

@task(samples=[{"id": "z"}], id="id")
async def catches(sample: dict[str, Any], ask: Ask) -> dict[str, Any]:
    try:
        await ask.embed(["late"], model="service/e")
    except AnswerError:
        return {"caught": True}
    return {"caught": False}
"""


def embedded(path: str, body: Mapping[str, Any]) -> Any:
    """Return the length of the text and a third as a vector; in base64 of a text that is common."""
    text = body["input"]
    vector = [float(len(text)), 1 / 3]
    if text == "bad":
        return 400
    data: Any = vector if text != "common" else b64encode(struct.pack("<2f", *vector)).decode()
    listed = [] if text == "odd" else [{"object": "embedding", "index": 0, "embedding": data}]
    usage = {"prompt_tokens": 5, "total_tokens": 5}
    return {"object": "list", "data": listed, "model": body["model"], "usage": usage}


def run(home: Path, model: ScriptedModel, samples: Any, task: str, mode: Any = "new_episodes") -> llmbatch.Run:
    project = Project(
        home,
        model.base_url,
        service="models.e = { name = 'wire-e', usd_per_million_in = 2.0, "
        "usd_per_million_out = 0.0, defaults = { dimensions = 2 } }\n",
    )
    project.write_experiment(STUDY.replace("SAMPLES", repr(samples)))
    return llmbatch.run(f"{home}/experiments/study.py::{task}", record_mode=mode)


SAMPLES = [{"id": "a", "text": "one"}, {"id": "b", "text": "three"}]


def test_each_text_is_paid_for_once_whoever_asks_for_it(tmp_path: Path) -> None:
    """In order, floats and base64 alike; a sample that is added pays for its own text alone."""
    with ScriptedModel(embedded) as model:
        recorded = run(tmp_path, model, SAMPLES, "near")
        asked = model.bodies("/v1/embeddings")
        more = run(tmp_path, model, [*SAMPLES, {"id": "c", "text": "seven"}], "near")
        texts = sorted(body["input"] for body in model.bodies("/v1/embeddings"))
    replayed = run(tmp_path, model, SAMPLES, "near", "none")

    assert {"model": "wire-e", "input": "one", "dimensions": 2, "encoding_format": "float"} in asked
    assert ["common", "one", "seven", "three"] == texts
    assert [[3.0, 1 / 3], [5.0, 1 / 3]] == recorded.rows["own"].to_list()
    assert [[6.0, struct.unpack("<f", struct.pack("<f", 1 / 3))[0]]] * 2 == recorded.rows["common"].to_list()
    assert [True, True] == recorded.rows["same"].to_list()
    assert [2, 2] == recorded.rows["llmbatch_asks"].to_list()
    assert [10, 10] == recorded.rows["llmbatch_tokens_in"].to_list()
    assert ["service/e"] * 2 == recorded.rows["llmbatch_model"].to_list()
    assert ['{"dimensions":2,"encoding_format":"float"}'] * 2 == recorded.rows["llmbatch_parameters"].to_list()
    assert [2e-5, 2e-5] == recorded.rows["llmbatch_cost_usd"].to_list()
    assert (3, 1, 0) == (recorded.paid, more.paid, replayed.paid)
    assert recorded.rows.equals(replayed.rows)


def test_a_text_without_a_vector_is_a_failure_of_its_row(tmp_path: Path) -> None:
    """A refusal is recorded as such; a reply without a vector is named; what was good stays recorded."""
    with ScriptedModel(embedded) as model:
        recorded = run(tmp_path, model, SAMPLES, "fails")
        asked = len(model.asked)
        again = run(tmp_path, model, SAMPLES, "fails")

    assert ["bad_request", "not_api"] == recorded.rows["llmbatch_status"].to_list()
    assert "no vector" in recorded.rows["llmbatch_error"][1]
    assert (3, 3, 0) == (asked, len(model.asked), again.paid)
    assert recorded.rows.equals(again.rows)


def test_a_task_that_had_to_do_without_a_vector_has_no_result(tmp_path: Path) -> None:
    """Whatever it made of the error: as with `ask`, a table of what was not asked would be made up."""
    with ScriptedModel(embedded) as model:
        offline = run(tmp_path, model, SAMPLES, "catches", "none")
        online = run(tmp_path, model, SAMPLES, "catches")

    assert ["not_recorded"] == offline.rows["llmbatch_status"].to_list()
    assert [("ok", False)] == online.rows.select("llmbatch_status", "caught").rows()


@pytest.mark.parametrize("texts", ["'one text'", "[1]", "None", "['one text'], dimensions=2"])
def test_what_are_no_texts_stops_the_run_before_its_first_call(tmp_path: Path, texts: str) -> None:
    """A text alone would be embedded letter by letter."""
    with ScriptedModel(embedded) as model:
        project = Project(tmp_path, model.base_url)
        project.write_experiment(STUDY.replace("SAMPLES", repr(SAMPLES)).replace('sample["texts"]', texts))
        with pytest.raises(llmbatch.LlmbatchError, match=r"ask\.embed (got|has no option)"):
            llmbatch.run(tmp_path / "experiments" / "study.py", record_mode="new_episodes")

    assert [] == model.asked
