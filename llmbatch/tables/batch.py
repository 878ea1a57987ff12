"""Rows of one shape as columns, and columns made rows again. Knows no file and no order.

Rows are of one shape when they have the same names in the same order and, name by name, values of the same Python
type. A column of such rows is stored in its own polars dtype where that gives each cell back as it was, else
*packed*: as JSON text, which also carries NaN in lists, integers beyond 64 bits and whatever is nested.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, compress
from typing import TYPE_CHECKING, Any, NamedTuple

from llmbatch.tables.cells import (
    BIGINT,
    FLOAT,
    INT,
    JSON,
    LIST_NULL,
    MIXED,
    NULL,
    SCALAR_KINDS,
    STR,
    Cell,
    Kind,
    cell_of,
    join,
    json_text,
    kind_of,
)
from llmbatch.tables.schema import Schema, dtype_of

if TYPE_CHECKING:
    import polars as pl

Scrub = Callable[[bytes], bytes]

ROW_CHARACTERS = 256
"""What a row weighs beside its text."""

_STR = frozenset({str})
_PLAIN_TYPES = frozenset({*SCALAR_KINDS, list, dict})
_NATIVE_LISTS: dict[frozenset[type], Kind] = {
    frozenset(): LIST_NULL,
    **{frozenset({kind}): f"list[{name}]" for kind, name in SCALAR_KINDS.items() if name != NULL},
}
_INTEGERS = (INT, "list[int]")
_CASTS = frozenset(
    {(INT, FLOAT), ("list[int]", "list[float]"), *((LIST_NULL, kind) for kind in _NATIVE_LISTS.values())}
)
"""Kinds of a stored and of the whole column between which polars casts as Python would."""


class Column(NamedTuple):
    """What is known of a batch's column beside its cells."""

    name: str
    kind: Kind
    packed: bool


class Shape:
    """Rows of equal names and types, until they are made columns. `is_foreign`: they hold no cells yet."""

    __slots__ = ("_nested", "_rows", "_texts", "characters", "indexes", "is_foreign", "names", "types")

    def __init__(self, names: tuple[str, ...], types: tuple[type, ...]) -> None:
        self.names = names
        self.types = types
        self.is_foreign = not _PLAIN_TYPES.issuperset(types) or any(cell_of(name) != name for name in names)
        self.indexes: list[int] = []
        self.characters = 0
        self._rows: list[Sequence[Any]] = []
        self._texts = [kind is str for kind in types]
        self._nested = [position for position, kind in enumerate(types) if kind in (list, dict)]

    def add(self, index: int, cells: Sequence[Any], characters: int | None = None) -> int:
        """Keep the row of a plan index, and return its weight in characters.

        With `characters`, about how many are in it, it is kept as it is. Else lists and mappings are copied, since
        whoever made the row may go on to change them; raises TaskError for an element that no table can hold.
        """
        weight = ROW_CHARACTERS
        if characters is not None:
            weight += characters
        else:
            weight += sum(map(len, compress(cells, self._texts)))
        if self._nested and characters is None:
            own = list(cells)
            for position in self._nested:
                cell = own[position]
                if type(cell) is list and _STR.issuperset(map(type, cell)):
                    own[position] = cell.copy()
                    weight += sum(map(len, cell))
                else:
                    own[position], more = _own(cell)
                    weight += more
            cells = own
        self.indexes.append(index)
        self._rows.append(cells)
        self.characters += weight
        return weight

    def columns(self, scrub: Scrub | None) -> tuple[Batch, pl.DataFrame]:
        """Return the rows as columns; the frame lacks those of None alone. The rows are let go.

        `scrub` takes secrets out of text; it is shown whole columns, and single cells only where that changed one.
        """
        import polars as pl  # noqa: PLC0415 - loaded when rows are kept, not when they are made

        columns, stored = [], {}
        by_column = list(zip(*self._rows, strict=True))
        self._rows.clear()
        for name, kind, cells in zip(self.names, self.types, by_column, strict=True):
            if kind is type(None):
                columns.append(Column(name, NULL, packed=False))
                continue
            column, stored[name] = _stored(name, kind, cells, scrub)
            columns.append(column)
        return Batch(tuple(columns)), pl.DataFrame(stored)


@dataclass(frozen=True, slots=True)
class Batch:
    """The columns of rows that were made columns; their cells are in a frame that is kept elsewhere."""

    columns: tuple[Column, ...]

    def rows(self, frame: pl.DataFrame, height: int) -> Iterator[dict[str, Cell]]:
        """Yield the rows of a frame as they were added."""
        cells = [
            [None] * height if column.kind == NULL and not column.packed else _cells(column, frame[column.name])
            for column in self.columns
        ]
        names = [column.name for column in self.columns]
        return (dict(zip(names, row, strict=True)) for row in (zip(*cells, strict=True) if cells else [()] * height))

    def widened(self, frame: pl.DataFrame, height: int, schema: Schema) -> pl.DataFrame:
        """Return the rows of a frame with the columns and dtypes of the whole table."""
        import polars as pl  # noqa: PLC0415 - as above

        known = {column.name: column for column in self.columns}
        made = {}
        for name, kind in schema.kinds.items():
            column = known.get(name)
            if column is None or column.name not in frame.columns:
                made[name] = pl.repeat(None, height, dtype=dtype_of(kind), eager=True)
            else:
                made[name] = _widened(column, frame[name], kind)
        return pl.DataFrame(made)


def _own(cell: Any) -> tuple[Cell, int]:
    """Return a copy of a list or mapping, and about what it weighs."""
    if type(cell) is list and set(map(type, cell)) <= SCALAR_KINDS.keys():
        return cell.copy(), sum(len(element) for element in cell if type(element) is str)
    own = cell_of(cell)
    return own, len(json_text(own))


def _stored(name: str, kind: type, cells: Sequence[Any], scrub: Scrub | None) -> tuple[Column, pl.Series]:
    elements: list[Any] = list(chain.from_iterable(cells)) if kind is list else []
    types = frozenset(map(type, elements)) - {type(None)}
    native = _NATIVE_LISTS.get(types) if kind is list else SCALAR_KINDS.get(kind)
    if native is not None:
        column = Column(name, native, packed=False)
        try:
            if kind is list:
                return column, _lists(name, cells, elements, native, scrub)
            return column, _scalars(name, cells, native, scrub)
        except (TypeError, OverflowError):  # integers that 64 bits do not hold
            if native not in _INTEGERS:
                raise
    joined = NULL
    for cell in cells:
        joined = join(joined, kind_of(cell))
    return Column(name, joined, packed=True), _scalars(name, [json_text(cell) for cell in cells], STR, scrub)


def _lists(name: str, cells: Sequence[list[Any]], elements: list[Any], kind: Kind, scrub: Scrub | None) -> pl.Series:
    """Return a column of lists, cut from their elements: ten times as fast as polars takes lists from Python."""
    import polars as pl  # noqa: PLC0415 - as above

    flat = _scalars("", elements, STR if kind == LIST_NULL else kind[5:-1], scrub)
    lengths = pl.lit(pl.Series(list(map(len, cells)), dtype=pl.Int64()))
    cut = pl.lit(flat.implode()).first().list.slice(lengths.cum_sum() - lengths, lengths)
    return pl.select(cut.alias(name)).to_series()


def _scalars(name: str, cells: Sequence[Any], kind: Kind, scrub: Scrub | None) -> pl.Series:
    import polars as pl  # noqa: PLC0415 - as above

    if kind != STR:
        return pl.Series(name, cells, dtype=dtype_of(kind), strict=True)
    try:
        if scrub is not None:
            said = "\n".join(cell for cell in cells if cell is not None).encode()
            if scrub(said) != said:
                cells = [None if cell is None else scrub(cell.encode()).decode() for cell in cells]
        if len(cells) > 1 and cells.count(cells[0]) == len(cells):  # what a variant says in each of its rows
            return pl.Series(name, cells[:1], dtype=pl.String(), strict=True).new_from_index(0, len(cells))
        return pl.Series(name, cells, dtype=pl.String(), strict=True)
    except UnicodeEncodeError:  # a lone surrogate
        return _scalars(name, [cell_of(cell) for cell in cells], STR, scrub)


def _cells(column: Column, series: pl.Series) -> list[Cell]:
    """Return the cells of a stored column as they were added."""
    cells: list[Cell] = series.to_list()
    return [json.loads(str(cell)) for cell in cells] if column.packed else cells


def _widened(column: Column, series: pl.Series, kind: Kind) -> pl.Series:
    import polars as pl  # noqa: PLC0415 - as above

    if not column.packed:
        if column.kind == kind:
            return series
        if (column.kind, kind) in _CASTS:
            return series.cast(dtype_of(kind))
    cells = [_value(cell, kind) for cell in _cells(column, series)]
    return pl.Series(column.name, cells, dtype=dtype_of(kind), strict=True)


def _value(cell: Cell, kind: Kind) -> Cell:
    if cell is None:
        return None
    if kind in (JSON, MIXED):
        return json_text(cell)
    if kind == BIGINT:
        return str(cell)
    if kind == FLOAT:
        return float(cell)  # type: ignore[arg-type]  # an int or a float, by the column's kind
    if isinstance(cell, list) and kind == "list[float]":
        return [None if number is None else float(number) for number in cell]  # type: ignore[arg-type]
    return cell
