"""The tables over repeats, against what the definitions say, counted case by case."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from typing import Any, NamedTuple

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmbatch.stats import wilson_interval
from llmbatch.tables.builtin import repeats as repeats_module
from llmbatch.tables.builtin.agreement import AGREEMENT_SCHEMA, agreement
from llmbatch.tables.builtin.framing import dtypes_of
from llmbatch.tables.builtin.majority import (
    FREQUENCIES_SCHEMA,
    MAJORITY_SCHEMA,
    VOTES_SCHEMA,
    label_frequencies,
    majority,
    votes,
)
from llmbatch.tables.builtin.repeats import WHOLE, Repeats, repeats_of
from llmbatch.tables.builtin.summary import summary
from llmbatch.tables.write import frame_digest

SERVICE_FAILURES = ("timeout", "server_error")
RESULTS = ("parse_error", "truncated")


class Said(NamedTuple):
    """What one repeat said: its status, its text and its label."""

    status: str
    text: str | None
    label: str | None


Sample = tuple[str, list[Said]]
"""A truth, and what the repeats said."""


def said(label: str | None, text: str | None = None) -> Said:
    return Said("ok", text or f"It is {label}.", label)


FAILED = Said("timeout", None, None)
UNREADABLE = Said("parse_error", "Hm.", None)


def rows_of(samples: Sequence[Sample], variant: str = "v", *, task: str = "t", truth: bool = True) -> pl.DataFrame:
    """Return the rows of samples in plan order."""
    rows = [
        {
            "llmbatch_task": task,
            "llmbatch_variant": variant,
            "llmbatch_sample": f"s{number}",
            "llmbatch_repeat": repeat,
            "llmbatch_status": each.status,
            "llmbatch_text": each.text,
            "truth": right if truth else None,
            "category": each.label,
        }
        for number, (right, saids) in enumerate(samples)
        for repeat, each in enumerate(saids)
    ]
    texts = ("llmbatch_task", "llmbatch_variant", "llmbatch_sample", "llmbatch_status", "llmbatch_text")
    return pl.DataFrame(
        rows,
        schema={
            **dict.fromkeys(texts, pl.String),
            "truth": pl.String,
            "category": pl.String,
            "llmbatch_repeat": pl.Int64,
        },
    )


def repeats(rows: pl.DataFrame | pl.LazyFrame, k: int, *, prediction: str | None = "category") -> Repeats:
    return repeats_of(rows, k=k, answers=["category"], label="category", prediction=prediction)


statuses = st.sampled_from(["ok"] * 6 + [*SERVICE_FAILURES, *RESULTS])


@st.composite
def one_repeat(draw: st.DrawFn) -> Said:
    status = draw(statuses)
    if status in SERVICE_FAILURES:
        return Said(status, None, None)
    text = draw(st.sampled_from(["one", "two"]))
    return Said(status, text, draw(st.sampled_from(["a", "b", "c", None])) if status == "ok" else None)


@st.composite
def studies(draw: st.DrawFn) -> tuple[int, list[Sample]]:
    """A number of repeats, and samples with that many each."""
    k = draw(st.integers(2, 5))
    one = st.tuples(st.sampled_from(["a", "b"]), st.lists(one_repeat(), min_size=k, max_size=k))
    return k, draw(st.lists(one, min_size=1, max_size=8))


# what the definitions say, word for word --------------------------------------------------------------------


def answers_of(sample: Sample) -> list[str | None]:
    return [each.label for each in sample[1] if each.status == "ok"]


def share(hits: Sequence[bool]) -> float | None:
    return round(sum(hits) / len(hits), 6) if hits else None


def naive_agreement(k: int, samples: Sequence[Sample]) -> dict[str, object]:
    texts = [[each.text for each in saids] for _, saids in samples]
    compared = [answers for sample in samples if len(answers := answers_of(sample)) > 1]
    pairs = [one != other for answers in compared for one, other in combinations(answers, 2)]
    failed = Counter(each.status for _, saids in samples for each in saids if each.status != "ok")
    return {
        "task": "t",
        "variant": "v",
        "compared": "category",
        "k": k,
        "samples": len(samples),
        "partial": 0,
        "failed": sum(any(each.status != "ok" for each in saids) for _, saids in samples),
        "failures": ", ".join(
            f"{name} {n}" for name, n in sorted(failed.items(), key=lambda pair: (-pair[1], pair[0]))
        ),
        "tar_raw": share([None not in each and len(set(each)) == 1 for each in texts]),
        "tar_answer": share([len(a := answers_of(sample)) == k and len(set(a)) == 1 for sample in samples]),
        "n_compared": len(compared),
        "flip_rate": share([len(set(answers)) > 1 for answers in compared]),
        "disagreement": share(pairs),
    }


def naive_majority(sample: Sample) -> tuple[str | None, int]:
    """Return the first in repeat order among the most frequent answers, and its votes."""
    answers = answers_of(sample)
    most = max((answers.count(each) for each in answers), default=0)
    return next((each for each in answers if answers.count(each) == most), None), most


@settings(max_examples=50)
@given(studies())
@example((2, [("a", [FAILED, FAILED])]))
@example((2, [("a", [UNREADABLE, UNREADABLE])]))
@example((3, [("a", [said("b"), said("a"), FAILED])]))
def test_rates_of_agreement_are_those_of_their_definitions(study: tuple[int, list[Sample]]) -> None:
    """TARr@k, TARa@k, flips and pairs that differ, by counting each sample and each pair by itself."""
    k, samples = study

    (found,) = agreement(repeats(rows_of(samples), k)).to_dicts()

    assert naive_agreement(k, samples) == {name: found[name] for name in naive_agreement(k, samples)}
    for rate, n in (("tar_raw", len(samples)), ("tar_answer", len(samples)), ("flip_rate", found["n_compared"])):
        hits = round((found[rate] or 0) * n)
        expected = wilson_interval(hits, n) or (None, None)
        assert pytest.approx(expected, abs=1e-6) == (found[f"{rate}_low"], found[f"{rate}_high"])


@settings(max_examples=50)
@given(studies())
@example((4, [("a", [said("b"), said("a"), said("a"), said("b")])]))
def test_the_majority_is_the_first_of_the_most_frequent_answers(study: tuple[int, list[Sample]]) -> None:
    """With its votes of k, ties by the order of repeats; and it is right where it is the truth."""
    k, samples = study

    table = votes(repeats(rows_of(samples), k)).to_dicts()

    for row, sample in zip(table, samples, strict=True):
        answer, most = naive_majority(sample)
        counts = Counter(answers_of(sample))
        assert (answer, most, round(most / k, 6)) == (row["majority"], row["votes"], row["vote_share"])
        assert (row["truth"], row["k"], row["ok"], row["different"]) == (sample[0], k, counts.total(), len(counts))
        assert row["tied"] is (list(counts.values()).count(most) > 1)
        assert row["correct"] == (None if answer is None else answer == sample[0])


@settings(max_examples=50)
@given(studies())
def test_accuracy_of_the_majority_stands_beside_that_of_single_repeats(study: tuple[int, list[Sample]]) -> None:
    """Both over what was answered; a sample without any answer has no majority, and is counted."""
    k, samples = study
    table = repeats(rows_of(samples), k)

    (found,) = majority(table).to_dicts()

    best = [(naive_majority(sample), sample[0]) for sample in samples]
    right = [answer == truth for (answer, _), truth in best if answer is not None]
    singles = [label == truth for truth, saids in samples for _, _, label in saids if label is not None]
    assert (share(right), share(singles)) == (found["accuracy"], found["single_accuracy"])
    assert (len(right), sum(right)) == (found["n_scored"], found["n_correct"])
    assert sum(most == 0 for (_, most), _ in best) == found["no_majority"]
    assert votes(table)["tied"].sum() == found["tied"]
    assert pytest.approx(sum(most for (_, most), _ in best) / (k * len(samples)), abs=1e-6) == found["vote_share"]


@settings(max_examples=50)
@given(studies())
def test_frequencies_are_of_the_repeats_that_the_model_answered(study: tuple[int, list[Sample]]) -> None:
    """What cannot be read is missing from the labels' shares; what the service failed is no answer at all."""
    k, samples = study

    table = label_frequencies(repeats(rows_of(samples), k)).to_dicts()

    expected: list[tuple[Any, ...]] = []
    for number, sample in enumerate(samples):
        counts = Counter(answers_of(sample))
        answered = sum(each.status not in SERVICE_FAILURES for each in sample[1])
        for label in dict.fromkeys(answers_of(sample)):
            low, high = wilson_interval(counts[label], answered) or (0, 0)
            shares = (counts[label] / answered, low, high, 1 - counts.total() / answered)
            expected.append((f"s{number}", label, counts[label], answered, pytest.approx(shares, abs=1e-6)))
    assert expected == [
        (row["sample"], row["label"], row["n"], row["answered"], (*rates_of(row), row["prob_missing"])) for row in table
    ]
    by_sample: dict[str, float] = {}
    for row in table:
        by_sample[row["sample"]] = by_sample.get(row["sample"], row["prob_missing"]) + row["prob"]
    assert pytest.approx(dict.fromkeys(by_sample, 1.0), abs=1e-5) == by_sample


def rates_of(row: Mapping[str, Any]) -> tuple[float, float, float]:
    return row["prob"], row["prob_low"], row["prob_high"]


# intervals --------------------------------------------------------------------------------------------------


def test_repeats_that_all_agree_make_no_interval_narrower() -> None:
    """Ten copies of each answer are as uncertain as one."""
    once = [("a", [said("a")])] * 6 + [("a", [said("b")])] * 3
    often = [(truth, saids * 10) for truth, saids in once]

    (single,) = summary(with_usage(rows_of(once)), "category").to_dicts()
    (repeated,) = summary(with_usage(rows_of(often)), "category", repeats=10).to_dicts()

    assert (repeated["n"], repeated["samples"], repeated["n_effective"]) == (90, 9, 9.0)
    for name in ("accuracy", "accuracy_low", "accuracy_high"):
        assert single[name] == repeated[name]


@settings(max_examples=50)
@given(studies())
def test_the_summary_takes_the_repeats_of_a_sample_as_one_cluster(study: tuple[int, list[Sample]]) -> None:
    """By the variance of a ratio over clusters, in fractions; never narrower than if all cases were independent."""
    k, samples = study

    (found,) = summary(with_usage(rows_of(samples)), "category", repeats=k).to_dicts()

    scores = [
        (sum(label == truth for label in answers), len(answers))
        for truth, saids in samples
        for answers in [[each.label for each in saids if each.label is not None]]
    ]
    x, n = (sum(each) for each in zip(*scores, strict=True))
    assert (x, n, len(samples)) == (found["n_correct"], found["n_scored"], found["samples"])
    assert round(float(effective(scores)), 6) == found["n_effective"]
    if n:
        low, high = wilson_interval(x, n) or (0, 0)
        assert found["accuracy_low"] <= low + 1e-6
        assert found["accuracy_high"] >= high - 1e-6


def effective(scores: Sequence[tuple[int, int]]) -> Fraction:
    """Return the effective number of trials by its definition: p (1 - p) / variance of p."""
    x, n = (sum(each) for each in zip(*scores, strict=True))
    if n == 0:
        return Fraction(0)
    p = Fraction(x, n)
    if p in (0, 1) or sum(trials > 0 for _, trials in scores) == 1:  # of which no variance can be told
        return Fraction(n * n, sum(trials * trials for _, trials in scores))
    variance = sum((hits - p * trials) ** 2 for hits, trials in scores) / Fraction(n * n)
    return min(Fraction(n), p * (1 - p) / variance) if variance else Fraction(n)


def with_usage(rows: pl.DataFrame) -> pl.DataFrame:
    """Add the columns of tokens and cost, which the summary sums up."""
    tokens = ("tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning", "asks")
    return rows.with_columns(
        *(pl.lit(1).alias(f"llmbatch_{name}") for name in tokens), pl.lit(0.0).alias("llmbatch_cost_usd")
    )


# what is compared -------------------------------------------------------------------------------------------


def test_a_failed_repeat_agrees_with_nothing_and_is_named() -> None:
    """Not even with the same failure; a text that cannot be read is a text all the same."""
    samples = [("a", [FAILED, FAILED]), ("a", [UNREADABLE, UNREADABLE]), ("a", [said("a"), FAILED])]

    (found,) = agreement(repeats(rows_of(samples), 2)).to_dicts()

    assert (1 / 3, 0.0) == pytest.approx((found["tar_raw"], found["tar_answer"]), abs=1e-6)
    assert (3, "timeout 3, parse_error 2", 0) == (found["failed"], found["failures"], found["n_compared"])
    assert found["flip_rate"] is None


def test_without_texts_there_is_no_agreement_of_texts() -> None:
    """A task that does not use `ask` leaves none: 0 would say that its repeats differ."""
    samples = [("a", [Said("ok", None, "a"), Said("ok", None, "a")])]

    (found,) = agreement(repeats(rows_of(samples), 2)).to_dicts()

    assert (None, 1.0) == (found["tar_raw"], found["tar_answer"])


@pytest.mark.parametrize(
    ("answers", "compared", "rate"),
    [
        ({"reason": ["x", "y"], "category": ["a", "a"]}, "category", 1.0),
        ({"reason": ["x", "y"], "verdict": ["a", "a"]}, WHOLE, 0.0),
        ({"score": [0.25, 0.25]}, "score", 1.0),
        ({"parts": [["a"], ["a", "b"]]}, "parts", 0.0),
        ({"score": [0.25, 0.25], "parts": [["a"], ["a"]]}, WHOLE, 1.0),
        ({}, None, None),
    ],
)
def test_what_is_compared_is_the_label_or_the_whole_answer(
    answers: dict[str, list[Any]], compared: str | None, rate: float | None
) -> None:
    """Also where there is no truth: agreement needs none."""
    rows = rows_of([("a", [said(None), said(None)])], truth=False).drop("category", "truth")
    rows = rows.with_columns(**{name: pl.Series(values) for name, values in answers.items()})
    label = "category" if "category" in answers else None
    found = repeats_of(rows, k=2, answers=list(answers), label=label, prediction=None)

    (row,) = agreement(found).to_dicts()

    assert (compared, rate) == (row["compared"], row["tar_answer"])
    assert (0 if compared is None else 1) == votes(found).height == majority(found).height
    assert all(row["correct"] is None for row in votes(found).to_dicts())


def test_samples_of_which_some_repeats_are_not_there_are_left_out_and_counted() -> None:
    """As after `--last-failed`, or when a run was ended: half a sample says nothing of agreement."""
    samples = [("a", [said("a"), said("a")]), ("a", [said("b")]), ("a", [FAILED, Said("not_run", None, None)])]
    rows = rows_of(samples)

    (found,) = agreement(repeats(rows, 2)).to_dicts()
    (nothing,) = agreement(repeats(rows.tail(3), 2)).to_dicts()

    assert (1, 2, 1.0, "") == (found["samples"], found["partial"], found["tar_answer"], found["failures"])
    assert (0, 2, None) == (nothing["samples"], nothing["partial"], nothing["tar_answer"])
    assert ["s0"] == votes(repeats(rows, 2))["sample"].to_list()
    assert 0 == majority(repeats(rows.tail(3), 2)).height


# frames -----------------------------------------------------------------------------------------------------


def tables(found: Repeats) -> Iterator[tuple[pl.DataFrame, Mapping[str, str]]]:
    yield agreement(found), AGREEMENT_SCHEMA
    yield majority(found), MAJORITY_SCHEMA
    yield votes(found), VOTES_SCHEMA
    yield label_frequencies(found), FREQUENCIES_SCHEMA


@pytest.mark.parametrize("height", [0, 6])
def test_tables_over_repeats_have_their_declared_schema(height: int) -> None:
    """With rows and without."""
    rows = rows_of([("a", [said("a"), said("b")])] * 3).head(height)

    for table, schema in tables(repeats(rows, 2)):
        assert dtypes_of(schema) == dict(table.schema)


def test_no_window_and_no_engine_changes_a_digit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variants in plan order, whether rows are looked at by twos or all at once."""
    one = [("ab"[n % 2], [said("abc"[n * i % 3]) if n * i % 7 else FAILED for i in range(3)]) for n in range(40)]
    rows = pl.concat([rows_of(one, "z"), rows_of(one[::-1], "a")])
    whole = [frame_digest(table) for table, _ in tables(repeats(rows, 3))]

    for size in (1, 2, 7):
        monkeypatch.setattr(repeats_module, "WINDOW_ROWS", size)
        assert whole == [frame_digest(table) for table, _ in tables(repeats(rows.lazy(), 3))]
    assert ["z", "a"] == agreement(repeats(rows, 3))["variant"].to_list()
