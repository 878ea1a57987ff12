"""The tables over repeats as a person sees them, at 80 columns."""

from __future__ import annotations

import io
from typing import Any

import polars as pl
import pytest
from rich.cells import cell_len
from rich.console import Console

from llmbatch.report.built_in import grids_of
from llmbatch.report.terminal import print_tables

VARIANTS = {"task": "classify", "variant": ["qwen2.5-coder-1.5b-commit_classify", "gpt-4o-mini-commit_classify_cot"]}


def rates(name: str, one: float | None, other: float | None) -> dict[str, list[float | None]]:
    """Return the columns of a rate of two variants."""
    values = (one, other)
    return {
        name: list(values),
        f"{name}_low": [None if value is None else value - 0.1 for value in values],
        f"{name}_high": [None if value is None else value + 0.1 for value in values],
    }


AGREEMENT = pl.DataFrame(
    {
        **VARIANTS,
        "compared": "category",
        "k": 5,
        "samples": 1200,
        "partial": [0, 3],
        "failed": [1, 0],
        "failures": ["timeout 2", ""],
        **rates("tar_raw", 0.5, None),
        **rates("tar_answer", 0.75, 0.8),
        **rates("flip_rate", 0.25, None),
    }
)
MAJORITY = pl.DataFrame(
    {
        **VARIANTS,
        "k": 5,
        "samples": 132,
        "no_majority": [2, 0],
        "tied": 14,
        "vote_share": [0.8125, 0.9],
        "n_scored": [130, 132],
        **rates("accuracy", 0.7, 0.8),
        **rates("single_accuracy", 0.6, 0.7),
    }
)
VOTES = pl.DataFrame(
    {
        "task": "classify",
        "variant": "",
        "sample": [f"s{n}" for n in range(30)],
        "truth": "adaptive",
        "majority": "corrective",
        "votes": [3 + n % 3 for n in range(30)],
        "k": 5,
        "different": 2,
    }
)


def printed(name: str, frame: pl.DataFrame) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, color_system=None, width=80)
    print_tables(console, {name: frame}, stream=stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "frame", "words"),
    [
        ("agreement", AGREEMENT, ["TARr@5", "0.50 [0.40, 0.60]", "0.75 [0.65, 0.85]", "0.25", "over 5 repeats"]),
        ("majority", MAJORITY, ["0.70 [0.60, 0.80]", "0.60 [0.50, 0.70]", "0.81", "tied", "of classify"]),
        ("votes", VOTES, ["corrective", "adaptive", "where repeats differ"]),
    ],
)
def test_nothing_is_left_out_at_eighty_columns(name: str, frame: pl.DataFrame, words: list[str]) -> None:
    """Every rate with its interval."""
    text = printed(name, frame)

    assert [] == [word for word in words if word not in text]
    assert "not shown for want of width" not in text
    assert max(map(cell_len, text.splitlines())) <= 80


def test_what_a_rate_does_not_count_is_said_below_it() -> None:
    """Failed repeats by status, samples that are not whole, and samples without any answer."""
    (agreement,), (majority,) = grids_of("agreement", AGREEMENT), grids_of("majority", MAJORITY)

    one, other = VARIANTS["variant"]
    assert f"{one}: 1 sample with failed repeats: timeout 2" in agreement.notes
    assert f"{other}: 3 samples left out: not all of their repeats were asked" in agreement.notes
    assert f"{one}: 2 samples without any answer" in majority.notes


def test_votes_are_shown_of_samples_whose_repeats_differ() -> None:
    """Ten of them, and how many there are; none where all agree."""
    (shown,) = grids_of("votes", VOTES)

    assert (10, ("and 10 more of 30 samples",)) == (len(shown.rows), shown.notes)
    assert [] == grids_of("votes", VOTES.filter(pl.col("votes") == 5))


def test_label_frequencies_are_for_the_files() -> None:
    """A row for each label of each sample; an author's table of that name is shown as any other."""
    own: dict[str, Any] = {"anything": [1]}

    assert [] == grids_of("label_frequencies", pl.DataFrame({"sample": ["s"], "label": ["a"], "prob_low": [0.1]}))
    assert [("1",)] == list(grids_of("label_frequencies", pl.DataFrame(own))[0].rows)


def test_tasks_with_other_numbers_of_repeats_have_grids_of_their_own() -> None:
    """TARa@3 and TARa@5 are not one column."""
    other = AGREEMENT.with_columns(k=pl.lit(3), task=pl.lit("judge"))

    titles = [each.title for each in grids_of("agreement", pl.concat([AGREEMENT, other]))]

    assert ["agreement over 5 repeats of classify", "agreement over 3 repeats of judge"] == titles


def test_classes_end_with_their_averages_however_many_there_are() -> None:
    """Twenty labels and how many more there are; one grid a variant."""
    names = [*(f"label{n:02}" for n in range(23)), "(macro average)", "(weighted average)"]
    rates = dict.fromkeys(("precision", "recall", "f1"), 0.5)
    frame = pl.DataFrame({"task": "t", "variant": "v", "label": names, **rates, "support": 2, "not_scored": 0})

    (shown,) = grids_of("per_class", frame)

    assert ("classes of t[v]", ("and 3 more labels",)) == (shown.title, shown.notes)
    assert ["label19", "(macro average)", "(weighted average)"] == [row[0] for row in shown.rows[-3:]]
    assert "not_scored" not in shown.headers


def test_notes_name_the_task_where_there_are_several_and_no_rate_that_is_not_shown() -> None:
    """Tasks without texts, as those that ask nobody, have no TARr."""
    unnamed = AGREEMENT.with_columns(variant=pl.lit(""), task=pl.Series(["one", "two"]))
    silent = unnamed.with_columns(
        pl.lit(None, dtype=pl.Float64).alias(f"tar_raw{end}") for end in ("", "_low", "_high")
    )

    (shown,) = grids_of("agreement", silent)

    assert "TARr@5 [95 %]" not in shown.headers
    assert "TARa: samples whose k answers (category) are the same" == shown.notes[0]
    assert "one: 1 sample with failed repeats: timeout 2" in shown.notes
