"""A frame made a grid of text: headers, cells, alignment. Knows no terminal and no colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmbatch.report.safe import safe

if TYPE_CHECKING:
    import polars as pl

CELL_CHARACTERS = 60
ID_COLUMNS = frozenset({"case", "variant", "llmbatch_case", "llmbatch_variant"})
"""Ids differ at their ends: they are cut in the middle, where they are cut."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A titled table of text; `numeric` tells which columns are right-aligned. `notes` go below it."""

    title: str
    headers: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def grids_of(name: str, frame: pl.DataFrame, *, rows_shown: int = 20) -> list[Grid]:
    """Return the grids in which a named table is shown: summary and confusion in forms of their own."""
    if name == "summary" and {"accuracy", "accuracy_low", "failures"} <= set(frame.columns):
        return [_summary(frame)]
    if name == "confusion" and frame.columns[:3] == ["task", "variant", "truth"]:
        return [
            grid(f"confusion {_place(task, variant)}: truth down, prediction across", part.drop("task", "variant"))
            for (task, variant), part in frame.group_by("task", "variant", maintain_order=True)
        ]
    shown = 10 if name == "failures" else rows_shown
    notes = [f"and {frame.height - shown:,} more"] if frame.height > shown else []
    return [grid(name, frame.head(shown), notes=notes)]


def grid(title: str, frame: pl.DataFrame, *, notes: Sequence[str] = ()) -> Grid:
    """Return the frame as text; every character of it is safe to print."""
    columns = [[cell_text(value, name) for value in series] for name, series in zip(frame.columns, frame, strict=True)]
    return Grid(
        title=safe(title),
        headers=tuple(safe(" ".join(name.split())) for name in frame.columns),
        numeric=tuple(series.dtype.is_numeric() for series in frame),
        rows=tuple(zip(*columns, strict=True)),
        notes=tuple(notes),
    )


def cell_text(value: object, column: str = "") -> str:
    """Return a cell on one line, 60 characters unless an id; null is a dash, floats have 3 digits, dollars 4."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.4f}" if column.endswith("_usd") else f"{value:,.3f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if hasattr(value, "to_list"):
        value = "; ".join(map(str, value.to_list()))
    line = safe(" ".join(str(value)[: 4 * CELL_CHARACTERS].split()))
    if len(line) <= CELL_CHARACTERS or column in ID_COLUMNS:
        return line
    return line[: CELL_CHARACTERS - 1] + "…"


def _place(task: object, variant: object) -> str:
    return f"{task}[{variant}]" if variant else f"{task}"


def _summary(frame: pl.DataFrame) -> Grid:
    """Show accuracy with its interval in one cell, what matters first, and no column that says nothing."""
    one_task = frame["task"].n_unique() == 1
    several_variants = frame["variant"].drop_nulls().str.len_chars().sum() > 0
    shown: dict[str, tuple[bool, list[str]]] = {}
    if not one_task:
        shown["task"] = (False, [cell_text(task) for task in frame["task"]])
    if several_variants:
        shown["variant"] = (False, [cell_text(variant, "variant") for variant in frame["variant"]])
    shown["n"] = (True, [cell_text(n) for n in frame["n"]])
    shown["ok"] = (True, [cell_text(n) for n in frame["ok"]])
    if frame["n_scored"].sum():
        if (frame["n_scored"] != frame["ok"]).any():
            shown["scored"] = (True, [cell_text(n) for n in frame["n_scored"]])
        bounds = zip(frame["accuracy"], frame["accuracy_low"], frame["accuracy_high"], strict=True)
        shown["accuracy [95 %]"] = (True, [accuracy_text(*bound) for bound in bounds])
    if frame["failed"].sum():
        shown["failed"] = (False, [failures or "-" for failures in frame["failures"]])
    for header, column in (("cost $", "cost_usd"), ("tokens in", "tokens_in"), ("out", "tokens_out")):
        shown[header] = (True, [cell_text(value, column) for value in frame[column]])
    title = f"summary of {safe(str(frame['task'][0]))}" if one_task else "summary"
    return Grid(
        title=title,
        headers=tuple(shown),
        numeric=tuple(numeric for numeric, _ in shown.values()),
        rows=tuple(zip(*(cells for _, cells in shown.values()), strict=True)),
    )


def accuracy_text(accuracy: float | None, low: float | None, high: float | None) -> str:
    """Return an accuracy with its interval: `0.86 [0.79, 0.91]`."""
    if accuracy is None or low is None or high is None:
        return "-"
    return f"{accuracy:.2f} [{low:.2f}, {high:.2f}]"
