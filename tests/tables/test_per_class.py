"""Precision, recall and F1 of each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmbatch.tables.builtin.classes import (
    LABELS_SHOWN,
    MACRO,
    NUMBERS_SHOWN,
    OTHER,
    PER_CLASS_SCHEMA,
    WEIGHTED,
    confusion,
    per_class,
)
from llmbatch.tables.builtin.framing import dtypes_of

Case = tuple[str, str | None]
"""The truth, and what was predicted; None for a case without an answer."""

cases = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(["a", "b", "c", "d", None])), min_size=1, max_size=30
)


def rows_of(cases: Sequence[Case], variant: str = "v") -> pl.DataFrame:
    """Return one row a case."""
    return pl.DataFrame(
        {
            "llmbatch_task": "t",
            "llmbatch_variant": variant,
            "llmbatch_status": ["timeout" if said is None else "ok" for _, said in cases],
            "truth": [truth for truth, _ in cases],
            "category": pl.Series([said for _, said in cases], dtype=pl.String),
        }
    )


def test_a_published_report() -> None:
    """The example of scikit-learn's page on `classification_report`, to its two digits."""
    rows = rows_of(list(zip("01222", "00221", strict=True)))

    shown = per_class(rows, "category").select("label", pl.col("precision", "recall", "f1").round(2), "support")

    assert [
        ("0", 0.5, 1.0, 0.67, 1),
        ("1", 0.0, 0.0, 0.0, 1),
        ("2", 1.0, 0.67, 0.8, 3),
        (MACRO, 0.5, 0.56, 0.49, 5),
        (WEIGHTED, 0.7, 0.6, 0.61, 5),
    ] == shown.rows()


@given(cases)
def test_each_class_is_scored_by_the_definitions(cases: list[Case]) -> None:
    """Precision and recall by counting cases, F1 as their harmonic mean; averages with 0 where nothing was counted."""
    scored = [(truth, said) for truth, said in cases if said is not None]
    labels = sorted({label for case in scored for label in case} | {truth for truth, _ in cases})

    table = per_class(rows_of(cases), "category")

    expected: list[tuple[Any, ...]] = []
    for label in labels:
        of_said = [truth == label for truth, said in scored if said == label]
        of_truth = [said == label for truth, said in scored if truth == label]
        precision, recall = mean(of_said), mean(of_truth)
        f1 = harmonic(precision or 0, recall or 0) if of_said or of_truth else None
        expected.append((label, precision, recall, f1, len(of_truth)))
    assert [(label, *map(close, rates), n) for label, *rates, n in expected] == table.head(-2).select(
        "label", "precision", "recall", "f1", "support"
    ).rows()
    once, by_support = [int(f1 is not None) for _, _, _, f1, _ in expected], [n for *_, n in expected]
    for row, weights in zip(table.tail(2).to_dicts(), (once, by_support), strict=True):
        for at, name in ((1, "precision"), (2, "recall"), (3, "f1")):
            total = sum(weight * (each[at] or 0) for each, weight in zip(expected, weights, strict=True))
            assert row[name] == (close(total / sum(weights)) if sum(weights) else None)
        assert (row["support"], row["not_scored"]) == (len(scored), len(cases) - len(scored))


def mean(hits: Sequence[bool]) -> float | None:
    return sum(hits) / len(hits) if hits else None


def harmonic(one: float, other: float) -> float:
    return 2 * one * other / (one + other) if one + other else 0.0


def close(value: float | None) -> object:
    return None if value is None else pytest.approx(value, abs=1e-6)


@given(cases)
def test_the_table_and_the_confusion_count_the_same(cases: list[Case]) -> None:
    """A row of the confusion sums up to a support, a column to a number of predictions."""
    rows = rows_of(cases)
    matrix = confusion(rows, "category")

    for row in per_class(rows, "category").head(-2).to_dicts():
        of_truth = matrix.filter(pl.col("truth") == row["label"]).drop("task", "variant", "truth", "(no answer)")
        assert row["support"] == (sum(of_truth.row(0)) if of_truth.height else 0)
        assert row["predicted"] == (matrix[row["label"]].sum() if row["label"] in matrix.columns else 0)


def test_what_has_no_answer_is_beside_the_scores() -> None:
    """Not wrong but missing: a class without any answer has no scores, and does not count in the averages."""
    table = per_class(rows_of([("a", "a"), ("a", None), ("b", None)]), "category")

    assert [("a", 1.0, 1, 1), ("b", None, 0, 1), (MACRO, 1.0, 1, 2), (WEIGHTED, 1.0, 1, 2)] == table.select(
        "label", "recall", "support", "not_scored"
    ).rows()


def test_each_variant_has_its_classes_in_plan_order() -> None:
    """A label that looks like an average gets a space in front."""
    rows = pl.concat([rows_of([("b", "b"), (MACRO, "b")], "z"), rows_of([("a", "a")], "x")])

    table = per_class(rows, "category")

    assert [
        *(("z", label) for label in (f" {MACRO}", "b", MACRO, WEIGHTED)),
        *(("x", label) for label in ("a", MACRO, WEIGHTED)),
    ] == table.select("variant", "label").rows()


def test_free_text_is_no_class() -> None:
    """Beyond 40 labels what is nobody's truth is one class; beyond 40 truths, or without predictions, there is none."""
    many = [("a", f"text {i}") for i in range(LABELS_SHOWN + 5)]
    turned = [(said, truth) for truth, said in many]

    assert ["a", OTHER, MACRO, WEIGHTED] == per_class(rows_of(many), "category")["label"].to_list()
    for nothing in (per_class(rows_of(turned), "category"), per_class(rows_of(many), None)):
        assert (0, dtypes_of(PER_CLASS_SCHEMA)) == (nothing.height, dict(nothing.schema))


def of_numbers(highest: int) -> pl.DataFrame:
    """Return a row for each number from 1, each answered as it should be."""
    numbers = list(range(1, highest + 1))
    rows = rows_of([(str(number), None) for number in numbers])
    return rows.with_columns(llmbatch_status=pl.lit("ok"), truth=pl.Series(numbers), category=pl.Series(numbers))


def test_a_few_numbers_are_labels_by_their_value() -> None:
    """Marks from 1 to 10 are labels."""
    shown = per_class(of_numbers(11), "category")["label"]

    assert [*(str(number) for number in range(1, 12)), MACRO, WEIGHTED] == shown.to_list()


def test_many_numbers_are_results_and_no_labels() -> None:
    """The answers of sums would fill the screen and say nothing."""
    rows = of_numbers(NUMBERS_SHOWN + 1)

    assert (0, 0) == (per_class(rows, "category").height, confusion(rows, "category").height)
