"""What was said of each true label: the confusion, and precision, recall and F1 of each class."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from llmbatch.call.failure import FailureKind
from llmbatch.tables.builtin.framing import TableSchema, frame_of
from llmbatch.tables.builtin.scoring import scored
from llmbatch.tables.cells import FLOAT, INT, STR

if TYPE_CHECKING:
    import polars as pl

OTHER = "(other)"
MACRO = "(macro average)"
WEIGHTED = "(weighted average)"
LABELS_SHOWN = 40
NUMBERS_SHOWN = 20
"""More whole numbers than these are results of a count or a sum, and no labels."""

CONFUSION_SCHEMA: TableSchema = {"task": STR, "variant": STR, "truth": STR}
PER_CLASS_SCHEMA: TableSchema = {
    "task": STR,
    "variant": STR,
    "label": STR,
    "precision": FLOAT,
    "recall": FLOAT,
    "f1": FLOAT,
    "support": INT,
    "predicted": INT,
    "correct": INT,
    "not_scored": INT,
}

Place = tuple[str, str]
"""A task and a variant."""


class Unscored(Enum):
    """What stands in the place of a prediction that cannot be right or wrong, and the name of its column."""

    OUT_OF_LABEL = "(out of label)"
    NO_ANSWER = "(no answer)"


Counts = Counter[tuple[str, "str | Unscored"]]
"""How often each truth met each prediction."""


@dataclass(frozen=True, slots=True)
class _LabelCounts:
    """The counts of each variant in plan order, and the labels in them."""

    truths: Sequence[str]
    labels: Sequence[str]
    of: dict[Place, Counts]


def confusion(rows: pl.DataFrame | pl.LazyFrame, prediction: str | None) -> pl.DataFrame:
    """Return counts, one row a (task, variant, truth label); task, variant, truth, then a column (int) a label.

    Labels are the truths and predictions of all rows, sorted (numbers by value); then, where there are any,
    `(out of label)`: answers with a word outside their closed labels; then `(no answer)`: other cases that failed or
    predicted null. With more than 40 labels (20 where they are whole numbers), predictions that are nobody's truth are
    one column `(other)`; with more truths than that, or without a prediction column, the frame has no rows. A label
    that is the name of such a column gets a space in front.
    """
    found = _counted(rows, prediction)
    reserved = (*CONFUSION_SCHEMA, *(each.value for each in Unscored))
    columns: dict[str | Unscored, str] = {label: _apart(label, reserved) for label in found.labels}
    if any(said is Unscored.OUT_OF_LABEL for counts in found.of.values() for _, said in counts):
        columns[Unscored.OUT_OF_LABEL] = Unscored.OUT_OF_LABEL.value
    columns[Unscored.NO_ANSWER] = Unscored.NO_ANSWER.value
    table = [
        {
            **dict(zip(CONFUSION_SCHEMA, (*place, truth), strict=True)),
            **{column: counts[truth, said] for said, column in columns.items()},
        }
        for place, counts in found.of.items()
        for truth in found.truths
    ]
    return frame_of(table, {**CONFUSION_SCHEMA, **dict.fromkeys(columns.values() if table else (), INT)})


def per_class(rows: pl.DataFrame | pl.LazyFrame, prediction: str | None) -> pl.DataFrame:
    """Return one row a (task, variant, label), then their macro and weighted average; columns as in PER_CLASS_SCHEMA.

    Labels are those of `confusion`, and so is when the frame has no rows. All but `not_scored` is over the scored
    cases: `support` have this truth, `predicted` this prediction, `correct` both; `not_scored` have this truth
    alone. `precision` = correct / predicted and `recall` = correct / support are null where nothing was counted,
    and 0 in the averages, as by scikit-learn's `classification_report`; `f1` = 2 correct / (predicted + support).
    The macro average is the mean over the labels with a scored case, the weighted one counts each as often as its
    support.
    """
    found = _counted(rows, prediction)
    table: list[dict[str, object]] = []
    for (task, variant), counts in found.of.items():
        classes = [_class(label, counts) for label in found.labels]
        kept = [each for each in classes if each.support or each.predicted or each.not_scored]
        table += [{"task": task, "variant": variant, **row} for row in (*_rows(kept), *_averages(kept))]
    return frame_of(table, PER_CLASS_SCHEMA)


@dataclass(frozen=True, slots=True)
class _Class:
    label: str
    support: int
    predicted: int
    correct: int
    not_scored: int

    @property
    def precision(self) -> float | None:
        return self.correct / self.predicted if self.predicted else None

    @property
    def recall(self) -> float | None:
        return self.correct / self.support if self.support else None

    @property
    def f1(self) -> float | None:
        counted = self.predicted + self.support
        return 2 * self.correct / counted if counted else None


def _class(label: str, counts: Counts) -> _Class:
    return _Class(
        label=label,
        support=sum(n for (truth, said), n in counts.items() if truth == label and isinstance(said, str)),
        predicted=sum(n for (_, said), n in counts.items() if said == label),
        correct=counts[label, label],
        not_scored=sum(counts[label, each] for each in Unscored),
    )


def _rows(classes: Sequence[_Class]) -> Iterator[dict[str, object]]:
    for each in classes:
        values = {name: getattr(each, name) for name in PER_CLASS_SCHEMA if name not in ("task", "variant", "label")}
        yield {"label": _apart(each.label, (MACRO, WEIGHTED)), **values}


def _averages(classes: Sequence[_Class]) -> Iterator[dict[str, object]]:
    totals = {
        name: sum(getattr(each, name) for each in classes) for name in ("support", "predicted", "correct", "not_scored")
    }
    is_scored = [int(each.support + each.predicted > 0) for each in classes]
    for label, weights in ((MACRO, is_scored), (WEIGHTED, [each.support for each in classes])):
        whole = sum(weights)
        means = {
            name: sum(weight * (getattr(each, name) or 0.0) for each, weight in zip(classes, weights, strict=True))
            for name in ("precision", "recall", "f1")
        }
        yield {"label": label, **{name: mean / whole if whole else None for name, mean in means.items()}, **totals}


def _counted(rows: pl.DataFrame | pl.LazyFrame, prediction: str | None) -> _LabelCounts:
    import polars as pl  # noqa: PLC0415 - loaded when a table is made

    nothing = _LabelCounts((), (), {})
    if prediction is None:
        return nothing
    known = scored(rows, prediction).filter(pl.col("truth_text").is_not_null())
    strayed = (pl.col("llmbatch_status") == FailureKind.OUT_OF_LABEL.value).alias("strayed")
    answer = pl.when(pl.col("scored")).then("prediction_text").alias("answer")
    counted = (
        known.group_by("llmbatch_task", "llmbatch_variant", "truth_text", answer, strayed, maintain_order=True)
        .len()
        .collect()
    )
    are_numbers = known.collect_schema()[prediction].is_integer()
    most, order = (NUMBERS_SHOWN, _by_value) if are_numbers else (LABELS_SHOWN, None)
    truths = sorted(set(counted["truth_text"]), key=order)
    if len(truths) > most:
        return nothing
    labels = sorted({*truths, *counted["answer"].drop_nulls()}, key=order)
    if len(labels) > most:
        labels = [*truths, OTHER]
    shown = set(labels)
    of: dict[Place, Counts] = {}
    for task, variant, truth, said, is_strayed, n in counted.iter_rows():
        if said is None:
            label: str | Unscored = Unscored.OUT_OF_LABEL if is_strayed else Unscored.NO_ANSWER
        else:
            label = said if said in shown else OTHER
        of.setdefault((task, variant), Counter())[truth, label] += n
    return _LabelCounts(truths, labels, of)


def _by_value(text: str) -> tuple[float, str]:
    """Order the texts of numbers by what they are; a truth that is no number comes last."""
    try:
        return float(text), text
    except ValueError:
        return math.inf, text


def _apart(label: str, taken: Sequence[str]) -> str:
    """Return the label, with a space in front where it is the name of something else."""
    return f" {label}" if label in taken else label
