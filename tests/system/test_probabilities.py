"""Probabilities of labels in whole runs: recorded, replayed, and refused before anything is paid."""

from __future__ import annotations

import orjson
import polars as pl
import pytest

from llmbatch.columns import PROBABILITY_COLUMNS
from tests.support.fault_server import FaultServer
from tests.support.project import EXPERIMENT, Project, commits

pytestmark = pytest.mark.system
NAMES = [column.name for column in PROBABILITY_COLUMNS]


def asking_for(field: str) -> str:
    return EXPERIMENT.replace("sample)\n", f"sample, probability_of={field!r})\n")


def test_a_replay_has_the_probabilities_of_the_recording(project: Project, server: FaultServer) -> None:
    """They are computed from the recorded reply, whenever that is; a failed answer has empty ones of the same types."""
    project.write_samples([*commits(4), {"id": "bad", "message": "[[garbage]]", "label": "adaptive"}])
    project.write_experiment(asking_for("category"))

    recorded = project.exp("--concurrency", "4")
    rows = project.rows()
    replayed = project.exp("--offline", "--concurrency", "1")

    assert (0, 0) == (recorded.code, replayed.code), recorded.err + replayed.err
    assert rows.equals(project.rows())
    assert [name for name in rows.columns if name in NAMES] == NAMES
    assert rows.schema["prob"] == pl.Float64
    assert rows.schema["prob_comparable"] == pl.Boolean
    for row in rows.iter_rows(named=True):
        if row["llmbatch_sample"] == "bad":
            assert [None, None, None, None, None, "none", None, None] == [row[name] for name in NAMES]
        else:
            assert row["prob"] == orjson.loads(row["prob_labels"])[row["category"]] > 0
            assert "grammar" in row["prob_note"]


def test_a_service_that_gives_none_is_named_in_every_row(project: Project) -> None:
    """The columns are there with their types, so that a table over several models can be made."""
    project.write_samples(commits(2))
    project.write_experiment(
        asking_for("category").replace("sample, prob", 'sample, extra_body={"logprobs": False}, prob')
    )

    finished = project.exp()
    rows = project.rows()

    assert 0 == finished.code, finished.err
    assert {"none"} == set(rows["prob_source"])
    assert pl.Float64 == rows.schema["prob"] == rows.schema["prob_missing"]


@pytest.mark.parametrize(("field", "said"), [("catgory", "is no field of Verdict"), ("reasoning_steps", "is open")])
def test_a_wrong_field_stops_the_run_before_it_pays(
    project: Project, server: FaultServer, field: str, said: str
) -> None:
    """It is found at the rehearsal, with the nearest closed field."""
    project.write_samples(commits(2))
    project.write_experiment(asking_for(field))

    finished = project.exp()

    assert 4 == finished.code
    assert f"probability_of='{field}' {said}" in finished.err
    assert 'probability_of="category"' in finished.err
    assert 0 == server.truth()["calls"]
