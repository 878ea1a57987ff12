"""The columns of a table as the union over its rows, in whatever order they arrive. Knows no file.

Column order is plan order of first appearance: the smallest (plan index, position in that row). A kind is
joined over all cells (cells.py). Memory grows with the number of columns, not of rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from llmbatch.columns import OWN_DTYPES
from llmbatch.errors import InternalError
from llmbatch.tables.cells import (
    BOOL,
    DECLARABLE,
    FLOAT,
    INT,
    JSON,
    MIXED,
    NULL,
    SCALAR_KINDS,
    Cell,
    Kind,
    cell_of,
    is_plain,
    join,
    json_text,
    kind_of,
)

if TYPE_CHECKING:
    import polars as pl

_PLAIN_TYPES = frozenset({type(None), bool, int, float, str, list, dict})
_SHAPES_KEPT = 4096
_NEVER = 1 << 62
_INT64 = 1 << 63


@dataclass(frozen=True, slots=True)
class Schema:
    """Columns with their kinds, in order; `mixed` names those made JSON text because kinds differed."""

    kinds: Mapping[str, Kind]
    mixed: tuple[str, ...] = ()

    def dtypes(self) -> dict[str, pl.DataType]:
        """Return the polars dtype of each column. A column that is null throughout is text."""
        return {name: _dtype(kind) for name, kind in self.kinds.items()}


def _dtype(kind: Kind) -> pl.DataType:
    import polars as pl  # noqa: PLC0415 - loaded when a table is made, not when a row is

    scalars: dict[Kind, pl.DataType] = {BOOL: pl.Boolean(), INT: pl.Int64(), FLOAT: pl.Float64()}
    if kind.startswith("list["):
        return pl.List(scalars.get(kind[5:-1], pl.String()))
    return scalars.get(kind, pl.String())


class _Shape:
    """What rows of equal names and types share: the earliest of them, and the kind of each column."""

    __slots__ = ("first", "foreign", "kinds", "lists", "names", "numbers", "types")

    def __init__(self, names: tuple[str, ...], types: tuple[type, ...]) -> None:
        self.names = names
        self.types = types
        self.first = _NEVER
        self.foreign = not _PLAIN_TYPES.issuperset(types) or any(cell_of(name) != name for name in names)
        self.kinds = [SCALAR_KINDS.get(kind, NULL) for kind in types]
        self.numbers = [position for position, kind in enumerate(types) if kind in (int, float)]
        self.lists = [position for position, kind in enumerate(types) if kind in (list, dict)]


class SchemaUnion:
    """Collects the union of the rows seen.

    Rows of one experiment come in few shapes, so most of the work is done once a shape; only numbers, lists
    and mappings are looked at in each row. `packed` names the columns of which some cell was stored as JSON
    text.
    """

    def __init__(self, declared: Mapping[str, Kind] | None = None) -> None:
        self._declared = dict(declared or {})
        for name, kind in self._declared.items():
            if kind not in DECLARABLE:
                near = get_close_matches(kind, DECLARABLE, n=1)
                raise InternalError(f"column {name} is declared {kind!r}", fix=f"one of {near or DECLARABLE}")
        self._shapes: dict[tuple[tuple[str, ...], tuple[type, ...]], _Shape] = {}
        self._columns: dict[str, tuple[tuple[int, int], Kind]] = {}
        self._last = _Shape((), ())
        self.packed: set[str] = set()

    def see(self, index: int, row: Mapping[str, Cell]) -> Mapping[str, Cell]:
        """Take note of a row and return it as it is to be stored: each cell that is not plain packed."""
        names = tuple(row)
        cells = tuple(row.values())
        types = tuple(map(type, cells))
        shape = self._last
        if shape.types != types or shape.names != names:
            shape = self._last = self._shape(names, types)
        if shape.foreign:
            return self.see(index, normal_row(row))
        shape.first = min(shape.first, index)
        odd = [at for at in shape.numbers if not -_INT64 < cells[at] < _INT64]  # type: ignore[operator]
        if not odd and not shape.lists:
            return row
        stored: dict[str, Cell] = {}
        for position in odd + shape.lists:
            cell = cells[position]
            kind = kind_of(cell)
            if kind == JSON:  # its elements may be enum members, paths: look again once they are cells
                cell = cell_of(cell)
                kind = kind_of(cell)
            shape.kinds[position] = join(shape.kinds[position], kind)
            if not is_plain(cell, kind):
                stored[names[position]] = {"": json_text(cell)}
        self.packed.update(stored)
        return {**row, **stored} if stored else row

    def _shape(self, names: tuple[str, ...], types: tuple[type, ...]) -> _Shape:
        shape = self._shapes.get((names, types))
        if shape is None:
            if len(self._shapes) >= _SHAPES_KEPT:
                self._fold()
            shape = self._shapes[names, types] = _Shape(names, types)
        return shape

    def _fold(self) -> None:
        for (names, _), shape in self._shapes.items():
            if shape.first == _NEVER:
                continue
            for position, (name, kind) in enumerate(zip(names, shape.kinds, strict=True)):
                place, known = self._columns.get(name, ((_NEVER, 0), NULL))
                self._columns[name] = (min(place, (shape.first, position)), join(known, kind))
        self._shapes.clear()
        self._last = _Shape((), ())

    def schema(self) -> Schema:
        """Return the union so far.

        A declared dtype holds wherever the values fit it, so that a column without values has its type;
        values that do not fit widen it as they would widen each other: nothing is lost. Declared columns that
        no row has come last; without any row llmbatch's own columns follow.
        """
        self._fold()
        ordered = sorted(self._columns, key=lambda name: self._columns[name][0])
        absent = [name for name in self._declared if name not in self._columns]
        own = [] if ordered else [name for name in OWN_DTYPES if name not in self._declared]
        kinds = {}
        for name in (*ordered, *absent, *own):
            seen = self._columns.get(name, (None, NULL))[1]
            kinds[name] = join(self._declared.get(name, OWN_DTYPES.get(name, NULL)), seen)
        return Schema(kinds, tuple(name for name, kind in kinds.items() if kind == MIXED))


def normal_row(row: Mapping[str, object]) -> dict[str, Cell]:
    """Return the row with each value as a cell (cells.cell_of) and each name as text."""
    return {str(cell_of(name)): cell_of(value) for name, value in row.items()}
