"""The tables every run has."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from llmbatch.tables.builtin.calls import CALLS_SCHEMA, calls_and_cost
from llmbatch.tables.builtin.classes import OTHER, Unscored, confusion
from llmbatch.tables.builtin.failures import FAILURES_SCHEMA, failures
from llmbatch.tables.builtin.scoring import label_column
from llmbatch.tables.builtin.summary import SUMMARY_SCHEMA, summary

NO_ANSWER, OUT_OF_LABEL = Unscored.NO_ANSWER.value, Unscored.OUT_OF_LABEL.value
SCHEMA: dict[str, Any] = {
    "llmbatch_case": pl.String,
    "llmbatch_task": pl.String,
    "llmbatch_variant": pl.String,
    "llmbatch_model": pl.String,
    "llmbatch_status": pl.String,
    "llmbatch_error_kind": pl.String,
    "llmbatch_error": pl.String,
    "llmbatch_text": pl.String,
    "llmbatch_tokens_in": pl.Int64,
    "llmbatch_tokens_out": pl.Int64,
    "llmbatch_tokens_cached": pl.Int64,
    "llmbatch_tokens_reasoning": pl.Int64,
    "llmbatch_cost_usd": pl.Float64,
    "llmbatch_asks": pl.Int64,
    "truth": pl.String,
    "category": pl.String,
}


def row(variant: str, status: str, truth: str | None, category: str | None, **more: object) -> dict[str, object]:
    """Return one row with the columns the tables read."""
    return {
        "llmbatch_case": f"t[{variant}]-{truth}",
        "llmbatch_task": "t",
        "llmbatch_variant": variant,
        "llmbatch_model": f"local/{variant}",
        "llmbatch_status": status,
        "llmbatch_error_kind": None if status == "ok" else "ValidationError",
        "llmbatch_error": None if status == "ok" else "no",
        "llmbatch_text": "x" * 900,
        "llmbatch_tokens_in": 10,
        "llmbatch_tokens_out": 3,
        "llmbatch_tokens_cached": 4,
        "llmbatch_tokens_reasoning": 1,
        "llmbatch_cost_usd": 1e-7,
        "llmbatch_asks": 1,
        "truth": truth,
        "category": category,
        **more,
    }


def frame(*rows: dict[str, object], **dtypes: Any) -> pl.DataFrame:
    """Return the rows as a frame with llmbatch's dtypes."""
    return pl.DataFrame(rows, schema={**SCHEMA, **dtypes})


ROWS = frame(
    row("z", "ok", "bug", "bug"),
    row("z", "ok", "bug", "feature"),
    row("z", "parse_error", "feature", None),
    row("z", "timeout", "bug", None, llmbatch_cost_usd=None, llmbatch_asks=0),
    row("z", "timeout", "bug", None, llmbatch_cost_usd=None, llmbatch_asks=0),
    row("a", "ok", "bug", "bug", llmbatch_cost_usd=None),
    row("a", "ok", None, "bug"),
)


def test_the_summary_counts_cases_and_names_what_is_missing() -> None:
    """No failure is a wrong answer: accuracy is over scored cases, and the rest stands beside."""
    first, second = summary(ROWS.lazy(), "category").to_dicts()

    assert first | {"accuracy_low": 0, "accuracy_high": 0} == {
        "task": "t",
        "variant": "z",
        "n": 5,
        "samples": 5,
        "ok": 2,
        "answered": 3,
        "failed": 3,
        "failures": "timeout 2, parse_error 1",
        "n_scored": 2,
        "n_correct": 1,
        "accuracy": 0.5,
        "accuracy_low": 0,
        "accuracy_high": 0,
        "n_effective": 2.0,
        "tokens_in": 50,
        "tokens_out": 15,
        "cost_usd": 0.0,
    }
    assert (first["accuracy_low"], first["accuracy_high"]) == (0.094531, 0.905469)
    assert (second["variant"], second["n_scored"], second["failures"]) == ("a", 1, "")


def test_a_cost_that_is_not_known_is_null_and_not_less() -> None:
    """A case that asked without a price makes the sum unknown; a case that never asked does not."""
    assert summary(ROWS, None)["cost_usd"].to_list() == [0.0, None]


def test_costs_are_summed_exactly() -> None:
    """Ten thousand cases of a ten-thousandth of a cent are a cent."""
    rows = frame(*[row("z", "ok", "bug", "bug", llmbatch_cost_usd=1e-6)] * 10_000)

    assert summary(rows, None)["cost_usd"].item() == 0.01
    assert calls_and_cost(rows)["cost_usd"].item() == 0.01


def test_without_a_prediction_there_is_no_accuracy() -> None:
    """Null, not 0."""
    assert summary(ROWS, None)["accuracy"].to_list() == [None, None]


@pytest.mark.parametrize("rows", [ROWS, ROWS.head(0)])
def test_every_table_has_its_declared_schema(rows: pl.DataFrame) -> None:
    """With rows and without."""
    dtypes = {"str": pl.String, "int": pl.Int64, "float": pl.Float64}

    for table, schema in (
        (summary(rows, "category"), SUMMARY_SCHEMA),
        (failures(rows), FAILURES_SCHEMA),
        (calls_and_cost(rows), CALLS_SCHEMA),
    ):
        assert dict(table.schema) == {name: dtypes[kind] for name, kind in schema.items()}


@pytest.mark.parametrize(
    ("truths", "truth_dtype", "answers", "dtype"),
    [
        (["1", "2"], pl.String, [1, 3], pl.Int64),
        ([1.0, 2.0], pl.Float64, [1, 3], pl.Int64),
        (["True", "true"], pl.String, [True, False], pl.Boolean),
        (["a", "B"], pl.String, ["a", "b"], pl.String),
    ],
)
def test_truth_and_prediction_are_compared_by_what_they_say(
    truths: list[Any], truth_dtype: Any, answers: list[Any], dtype: Any
) -> None:
    """A CSV's truth is text even where the model answers with a number or a bool; text keeps its case."""
    rows = frame(
        *(row("z", "ok", truth, answer) for truth, answer in zip(truths, answers, strict=True)),
        truth=truth_dtype,
        category=dtype,
    )

    assert summary(rows, "category")["n_correct"].item() == 1


@pytest.mark.parametrize(
    ("answers", "truth_field", "closed", "expected"),
    [
        (["reasoning", "kind", "category"], "kind", [], "kind"),
        (["reasoning", "category", "label"], "kind", ["reasoning"], "category"),
        (["label", "answer"], "gold", [], "label"),
        (["reasoning", "answer"], "gold", [], "answer"),
        (["reasoning", "kind"], "gold", ["kind", "steps"], "kind"),
        (["reasoning", "kind"], "gold", ["kind", "reasoning"], None),
        (["reasoning", "prob", "steps"], "gold", [], "reasoning"),
        (["reasoning", "kind"], "gold", [], None),
        (["prob", "steps"], "gold", [], None),
        (["category"], None, [], "category"),
    ],
)
def test_the_label_is_found_by_the_documented_rule(
    answers: list[str], truth_field: str | None, closed: list[str], expected: str | None
) -> None:
    """The truth's own name, category, label, answer, the only closed one, the only one; floats and lists are none."""
    rows = pl.DataFrame(
        schema={
            "truth": pl.String,
            "prob": pl.Float64,
            "steps": pl.List(pl.String),
            **dict.fromkeys(["reasoning", "kind", "category", "label", "answer"], pl.String),
        }
    )

    assert label_column(rows, truth_field=truth_field, answers=answers, closed=closed) == expected


def test_the_confusion_has_sorted_labels_and_counts_missing_answers_apart() -> None:
    """Every truth label has a row in every variant."""
    table = confusion(ROWS, "category")

    assert table.columns == ["task", "variant", "truth", "bug", "feature", NO_ANSWER]
    assert table.rows() == [
        ("t", "z", "bug", 1, 1, 2),
        ("t", "z", "feature", 0, 0, 1),
        ("t", "a", "bug", 1, 0, 0),
        ("t", "a", "feature", 0, 0, 0),
    ]


def test_answers_outside_their_labels_have_a_column_of_their_own() -> None:
    """They are neither wrong predictions nor missing answers; without one there is no such column."""
    answers = [row("z", "ok", "bug", "bug"), row("z", "out_of_label", "bug", None), row("z", "timeout", "bug", None)]

    (counts,) = confusion(frame(*answers), "category").to_dicts()

    assert (counts["bug"], counts[OUT_OF_LABEL], counts[NO_ANSWER]) == (1, 1, 1)
    assert OUT_OF_LABEL not in confusion(frame(answers[0], answers[2]), "category").columns


def test_a_label_may_be_named_like_a_column() -> None:
    """Labels are data and can be any text."""
    table = confusion(frame(row("z", "ok", "truth", NO_ANSWER), row("z", "ok", "truth", "truth")), "category")

    assert table.rows() == [("t", "z", "truth", 1, 1, 0)]
    assert table.columns[3:] == [f" {NO_ANSWER}", " truth", NO_ANSWER]


def test_free_text_does_not_make_a_column_a_word() -> None:
    """Beyond 40 labels, what is nobody's truth is pooled."""
    table = confusion(frame(*(row("z", "ok", "bug", f"text {i}") for i in range(50))), "category")

    assert table.rows() == [("t", "z", "bug", 0, 50, 0)]
    assert table.columns[3:] == ["bug", OTHER, NO_ANSWER]


@pytest.mark.parametrize("prediction", [None, "category"])
def test_where_there_is_nothing_to_compare_the_confusion_is_empty(prediction: str | None) -> None:
    """No prediction, or as many truths as cases."""
    rows = frame(*(row("z", "ok", f"text {i}", "a") for i in range(50)))

    assert confusion(rows, prediction).height == 0


def test_failures_stand_in_plan_order_with_their_text_cut() -> None:
    """One row a case that is not ok."""
    table = failures(ROWS)

    assert table["status"].to_list() == ["parse_error", "timeout", "timeout"]
    assert table["text"].str.len_chars().to_list() == [500, 500, 500]


def test_calls_are_counted_by_model() -> None:
    """In plan order."""
    assert calls_and_cost(ROWS).rows() == [
        ("local/z", 5, 3, 50, 15, 20, 5, 0.0),
        ("local/a", 2, 2, 20, 6, 8, 2, None),
    ]
