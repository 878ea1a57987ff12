"""What a probe finds of each dialect's service, over the real command line: its best mode, with nothing configured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.dialects.conftest import MakeStudy
from tests.dialects.study import Study
from tests.support.dialects import DIALECTS, Dialect, OpenAIReasoning, serving

pytestmark = pytest.mark.system

MODES = {"json_schema": "json_schema", "json_object": "json_object", "tools": "tool"}
MEMBERS = {"logprobs": "logprobs", "top_logprobs": "top_logprobs", "n": "n", "stream_usage": "stream_options"}
ALSO = {"deepseek": {"n": "refused"}}
"""What a service's script does beside what it is declared to honour and refuse."""
PROBED: list[type[Dialect]] = [*DIALECTS, OpenAIReasoning]


def events(study: Study, name: str) -> list[dict[str, Any]]:
    """Return the events of that name of the newest run."""
    folder = max((study.root / "results" / "study").iterdir(), key=lambda path: (len(path.name), path.name))
    lines = (folder / "run.jsonl").read_text(encoding="ascii").splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == name]


def expected_of(dialect: type[Dialect]) -> Mapping[str, str]:
    """Return the facts that follow from what the service is scripted to honour and refuse."""

    def fact(name: str) -> str:
        return "refused" if name in dialect.refuses else "yes" if name in dialect.honours else "ignored"

    facts = {name: fact(scripted) for name, scripted in {**MODES, **MEMBERS, "seed": "seed"}.items()}
    facts |= ALSO.get(dialect.name, {})
    return facts | ({"top_logprobs": facts["logprobs"]} if facts["logprobs"] != "yes" else {})


@pytest.mark.parametrize("dialect", PROBED, ids=[each.name for each in PROBED])
def test_a_service_is_asked_in_the_best_mode_that_it_honours(
    dialect: type[Dialect], study: MakeStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    """The scripted service complains, and so fails the test, of a question in another mode or with what it refuses."""
    with serving(dialect()) as service:
        made = study(service, ["good"], None)
        code = made.run()
        asked = len(service.heard)
        probes = asked - len(service.questions)

    rows = made.rows()
    assert (0, ["ok", "ok"]) == (code, rows["llmbatch_status"].to_list()), capsys.readouterr().err
    assert {dialect.mode} == set(rows["llmbatch_mode"])
    (found,) = events(made, "capabilities")
    assert expected_of(dialect) == {name: found[name] for name in (*MODES, *MEMBERS, "seed")}
    assert ("probed", dialect.mode) == (found["origin"], found["mode"])
    assert 10 <= probes <= 16
    assert f"shapes are asked for by {dialect.mode}" in capsys.readouterr().err
    assert 0 == made.run("--offline")
    assert rows.equals(made.rows())
    assert "recorded" == events(made, "capabilities")[0]["origin"]


def test_what_a_model_refuses_is_left_out_and_stands_so_in_the_rows(study: MakeStudy) -> None:
    """The limit under the name that is taken, and no sampling parameter."""
    with serving(OpenAIReasoning()) as service:
        made = study(service, [], None)
        made.run()

    (row,) = made.by_scene().values()
    assert {"max_completion_tokens": 500} == json.loads(row["llmbatch_parameters"])
    assert ["temperature", "top_p"] == events(made, "capabilities")[0]["left_out"]
