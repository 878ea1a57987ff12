"""Answers that do not fit are asked for again, with what is wrong; each attempt is recorded, and counted in the row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import llmbatch
from tests.support.project import Project
from tests.support.scripted import ScriptedModel, calling, said

pytestmark = pytest.mark.system

STUDY = """
from typing import Any, Literal
from pydantic import BaseModel, field_validator
from llmbatch import Answer, Ask, task

class Verdict(BaseModel):
    reason: str
    category: Literal["bug", "feature"]

    @field_validator("reason")
    @classmethod
    def short(cls, reason: str) -> str:
        if len(reason) > LONGEST:
            raise ValueError("give a shorter reason")
        return reason

@task(samples=[{"id": "a", "text": "It crashes.", "label": "bug"}], id="id", truth="label")
async def study(sample: dict[str, Any], ask: Ask) -> Answer[Verdict]:
    return await ask(Verdict, "Sort: {text}", sample, reasks=REASKS)
"""
STRAYED = '{"reason": "r", "category": "defect"}'
HALF = '{"reason": "r"}'
GOOD = '{"reason": "it crashes", "category": "Bug"}'
NAMES = ("llmbatch_status", "category", "llmbatch_asks", "llmbatch_reasks")
AGAIN = "Answer again, whole and in the form that was asked for, and with nothing else."


def study(home: Path, model: ScriptedModel, mode: str = "json_schema", reasks: int = 2, longest: int = 50) -> Project:
    project = Project(home, model.base_url)
    project.write_experiment(STUDY.replace("REASKS", str(reasks)).replace("LONGEST", str(longest)))
    project.configure('model = "service/m"')
    settings = home / "llmbatch.toml"
    settings.write_text(settings.read_text("utf-8").replace('"json_schema"', f'"{mode}"'), encoding="utf-8")
    return project


def run(project: Project, mode: Any = "new_episodes") -> llmbatch.Run:
    return llmbatch.run(project.root / "experiments" / "study.py", record_mode=mode)


def one_row(ran: llmbatch.Run) -> dict[str, Any]:
    return ran.rows.row(0, named=True)


def is_valid(messages: list[dict[str, Any]]) -> bool:
    """Whether a service takes the conversation: no call is left without its reply, and the user has the last word."""
    return messages[-1]["role"] == "user" and not any(turn.get("tool_calls") for turn in messages)


@pytest.mark.parametrize("mode", ["json_schema", "json_object", "tool", "text"])
def test_an_answer_that_does_not_fit_is_asked_for_again_in_every_mode(tmp_path: Path, mode: str) -> None:
    """With the place, the kind and the value; a replay goes the same way, and calls nothing."""
    answers = [STRAYED, HALF, GOOD]

    def script(path: str, body: dict[str, Any]) -> dict[str, Any]:
        text = answers[sum(turn["role"] == "assistant" for turn in body["messages"])]
        return calling(("Verdict", text)) if mode == "tool" else said(text)

    with ScriptedModel(script) as model:
        project = study(tmp_path / "project", model, mode)
        recorded = run(project)
        asked = [body["messages"] for body in model.bodies()]
    replayed = run(project, "none")

    row = one_row(recorded)
    assert ("ok", "bug", 3, 2) == tuple(row[name] for name in NAMES)
    assert ("exact", "category: 'Bug' as bug") == (row["llmbatch_reading"], row["llmbatch_normalised"])
    assert all(map(is_valid, asked))
    assert [STRAYED, HALF] == [turn["content"] for turn in asked[-1] if turn["role"] == "assistant"]
    assert [
        f"Your answer does not fit:\n- category: 'defect' is not one of bug, feature\n{AGAIN}",
        f"Your answer does not fit:\n- category: missing\n{AGAIN}",
    ] == [turn["content"] for turn in asked[-1] if turn["role"] == "user"][1:]
    assert (3, 0, 3) == (recorded.paid, replayed.paid, replayed.cached)
    assert recorded.rows.equals(replayed.rows)


def test_the_row_tells_of_the_last_attempt_and_a_word_outside_the_labels_is_a_result(tmp_path: Path) -> None:
    """Counted as answered and never as wrong, in the row, the summary and the confusion."""
    with ScriptedModel(lambda path, body: said(HALF if len(body["messages"]) == 2 else STRAYED)) as model:
        ran = run(study(tmp_path / "project", model, reasks=1))

    row = one_row(ran)
    assert ("out_of_label", None, 2, 1) == tuple(row[name] for name in NAMES)
    assert (STRAYED, "defect") == (row["llmbatch_text"], row["llmbatch_error_kind"])
    assert "category: 'defect' is not one of bug, feature" == row["llmbatch_error"]
    summary = ran.table("summary").row(0, named=True)
    assert (0, 1, 1, "out_of_label 1", 0) == tuple(
        summary[name] for name in ("ok", "answered", "failed", "failures", "n_scored")
    )
    confusion = ran.table("confusion").row(0, named=True)
    assert (1, 0) == (confusion["(out of label)"], confusion["(no answer)"])
    assert 0 == ran.exit_code


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (said('{"reason": "r", "cat', finish="length"), "truncated"),
        (said(None, refusal="I will not."), "refusal"),
        (said(HALF, finish="content_filter"), "content_filter"),
        (said(""), "empty_content"),
    ],
)
def test_what_was_cut_refused_or_empty_is_not_asked_for_again(
    tmp_path: Path, reply: dict[str, Any], status: str
) -> None:
    """It would be paid for once more, and come out the same."""
    with ScriptedModel(lambda path, body: reply) as model:
        ran = run(study(tmp_path / "project", model))
        asked = len(model.bodies())

    assert (status, None, 1, 0) == tuple(one_row(ran)[name] for name in NAMES)
    assert 1 == asked


def test_a_stricter_validator_asks_again_for_what_it_refuses_and_nothing_else(tmp_path: Path) -> None:
    """What is recorded stays; the new question is a miss that a replay names, and one call."""
    with ScriptedModel(
        lambda path, body: said(GOOD if len(body["messages"]) == 2 else GOOD.replace("it ", ""))
    ) as model:
        project = study(tmp_path / "project", model)
        first = run(project)
        study(project.root, model, longest=8)
        offline = run(project, "none")
        again = run(project)

    assert [1, 1] == [first.paid, again.paid]
    assert ["ok", "not_recorded", "ok"] == [one_row(ran)["llmbatch_status"] for ran in (first, offline, again)]
    assert (2, 1) == (one_row(again)["llmbatch_asks"], one_row(again)["llmbatch_reasks"])
