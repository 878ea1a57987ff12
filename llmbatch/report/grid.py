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
