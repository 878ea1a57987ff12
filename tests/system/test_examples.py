"""The examples of the documents: each replays offline from its committed cassette, to what its page prints."""

from __future__ import annotations

import io
import re
from pathlib import Path

import polars as pl
import pytest

import llmbatch
from llmbatch.cassette.store import Store
from llmbatch.cassette.upkeep.secrets import secrets_of
from llmbatch.report.terminal import print_tables

ROOT = Path(__file__).parents[2]
CASES = {"generate_inputs": 50, "issue_triage": 48, "review_usefulness": 96, "self_consistency": 150}


@pytest.fixture(scope="module", params=CASES)
def example(request: pytest.FixtureRequest) -> str:
    """The name of an experiment, of its cassette, and, with hyphens, of its page."""
    return str(request.param)


@pytest.fixture(scope="module")
def run(example: str, tmp_path_factory: pytest.TempPathFactory) -> llmbatch.Run:
    """A replay of the whole."""
    return replay(example, tmp_path_factory.mktemp(example))


def replay(example: str, results: Path, **options: int) -> llmbatch.Run:
    file = ROOT / "experiments" / f"{example}.py"
    return llmbatch.run(file, record_mode="none", results=results, **options)  # type: ignore[arg-type]


def page(example: str) -> str:
    return (ROOT / "docs" / "examples" / f"{example.replace('_', '-')}.md").read_text(encoding="utf-8")


def test_every_case_is_answered_from_the_committed_cassette(example: str, run: llmbatch.Run) -> None:
    """Without a server, a key or a network; what was cut off or does not parse is a result."""
    assert (0, 0, CASES[example]) == (run.exit_code, run.paid, run.rows.height)


def test_another_replay_gives_the_same_rows_and_tables(example: str, run: llmbatch.Run, tmp_path: Path) -> None:
    """One case at a time, where the first one had many under way."""
    again = replay(example, tmp_path, concurrency=1, window=1)

    assert (run.path / "rows.parquet").read_bytes() == (again.path / "rows.parquet").read_bytes()
    assert [*run.tables] == [*again.tables]
    assert all(frame.equals(again.tables[name]) for name, frame in run.tables.items())


def test_the_page_prints_what_the_replay_gives(example: str, run: llmbatch.Run) -> None:
    """Each table of it, to the character, and the digest of the cassette."""
    printed = io.StringIO()
    print_tables(None, run.tables, stream=printed)
    shown = re.findall(r"^```text\n(.*?)^```$", page(example), re.DOTALL | re.MULTILINE)
    with Store(ROOT / "cassettes" / example) as store:
        digest = store.content_digest()

    assert shown
    for each in shown:
        assert each in printed.getvalue()
    assert digest in page(example)


def test_the_cassette_is_sound_and_holds_no_secret(example: str) -> None:
    """Each line by its checksum, each key by its request, and nothing that looks like a credential."""
    folder = ROOT / "cassettes" / example

    assert [] == llmbatch.Cassette(folder).verify()
    assert [] == [*secrets_of(folder)]


@pytest.mark.parametrize(
    ("file", "rows", "labels"),
    [
        ("functions", 25, []),
        ("issues", 24, [6, 6, 6, 6]),
        ("known_issues", 12, []),
        ("problems", 30, []),
        ("review_comments", 48, [24, 24]),
    ],
)
def test_the_samples_are_as_many_and_as_balanced_as_their_card_says(file: str, rows: int, labels: list[int]) -> None:
    """No two of them are equal."""
    samples = pl.read_ndjson(ROOT / "experiments" / "data" / f"{file}.jsonl")

    assert rows == samples.height == samples.n_unique(samples.columns[0])
    assert labels == (samples["label"].value_counts()["count"].to_list() if "label" in samples.columns else [])


def test_every_experiment_of_the_project_has_a_page_and_a_cassette() -> None:
    """An experiment file that nobody can replay or read about is none."""
    tasks = {file.stem for file in (ROOT / "experiments").glob("*.py") if "@task(" in file.read_text(encoding="utf-8")}

    assert {"commit_classify", *CASES} == tasks == {folder.name for folder in (ROOT / "cassettes").iterdir()}
