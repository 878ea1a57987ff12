"""The columns of a table as the union over its rows, in whatever order they arrive. Knows no file.

Column order is plan order of first appearance: the smallest (plan index, position in that row). A kind is
joined over all cells (cells.py). Memory grows with the number of columns, not of rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from llmbatch.columns import OWN_DTYPES, PROBABILITY_DTYPES
from llmbatch.errors import InternalError
from llmbatch.tables.cells import BOOL, DECLARABLE, FLOAT, INT, MIXED, NULL, Kind, join

if TYPE_CHECKING:
    import polars as pl

_NEVER = (1 << 62, 0)


@dataclass(frozen=True, slots=True)
class Schema:
    """Columns with their kinds, in order; `mixed` names those made JSON text because kinds differed."""

    kinds: Mapping[str, Kind]
    mixed: tuple[str, ...] = ()

    def dtypes(self) -> dict[str, pl.DataType]:
        """Return the polars dtype of each column. A column that is null throughout is text."""
        return {name: dtype_of(kind) for name, kind in self.kinds.items()}


def dtype_of(kind: Kind) -> pl.DataType:
    """Return the polars dtype of a kind."""
    import polars as pl  # noqa: PLC0415 - loaded when rows are kept, not when they are made

    scalars: dict[Kind, pl.DataType] = {BOOL: pl.Boolean(), INT: pl.Int64(), FLOAT: pl.Float64()}
    if kind.startswith("list["):
        return pl.List(scalars.get(kind[5:-1], pl.String()))
    return scalars.get(kind, pl.String())


class SchemaUnion:
    """Collects the union of the rows seen, many of one shape at a time."""

    def __init__(self, declared: Mapping[str, Kind] | None = None) -> None:
        self._declared = dict(declared or {})
        for name, kind in self._declared.items():
            if kind not in DECLARABLE:
                near = get_close_matches(kind, DECLARABLE, n=1)
                raise InternalError(f"column {name} is declared {kind!r}", fix=f"one of {near or DECLARABLE}")
        self._columns: dict[str, tuple[tuple[int, int], Kind]] = {}

    def see(self, first: int, kinds: Iterable[tuple[str, Kind]]) -> None:
        """Take note of rows with these columns; `first` is the smallest of their plan indexes."""
        for position, (name, kind) in enumerate(kinds):
            place, known = self._columns.get(name, (_NEVER, NULL))
            self._columns[name] = (min(place, (first, position)), join(known, kind))

    def schema(self) -> Schema:
        """Return the union so far.

        A declared dtype holds wherever the values fit it, so that a column without values has its type;
        values that do not fit widen it as they would widen each other: nothing is lost. Declared columns that
        no row has come last; without any row llmbatch's own columns follow.
        """
        ordered = sorted(self._columns, key=lambda name: self._columns[name][0])
        absent = [name for name in self._declared if name not in self._columns]
        own = [] if ordered else [name for name in OWN_DTYPES if name not in self._declared]
        # an author's own column may be named `prob`; none comes without its source
        known = OWN_DTYPES | PROBABILITY_DTYPES if "prob_source" in self._columns else OWN_DTYPES
        kinds = {}
        for name in (*ordered, *absent, *own):
            seen = self._columns.get(name, (_NEVER, NULL))[1]
            kinds[name] = join(self._declared.get(name, known.get(name, NULL)), seen)
        return Schema(kinds, tuple(name for name, kind in kinds.items() if kind == MIXED))
