"""What one cell of a row may be, its kind, and how unlike kinds join. Knows no row, file or polars.

Kinds form a join-semilattice, so the kind of a column does not depend on the order in which rows arrive:
`null` below all; `int` below `float` and below `bigint`; `list[null]` (an empty list) below every other list
and below `json`; whatever else meets is `mixed`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import TypeAlias
from uuid import UUID

from llmbatch.errors import TaskError

Cell: TypeAlias = "str | int | float | bool | list[Cell] | dict[str, Cell] | None"
Kind: TypeAlias = str

NULL, BOOL, INT, BIGINT, FLOAT, STR = "null", "bool", "int", "bigint", "float", "str"
LIST_NULL, JSON, MIXED = "list[null]", "json", "mixed"
DECLARABLE: tuple[Kind, ...] = (STR, INT, FLOAT, BOOL, "list[str]", "list[int]", "list[float]", "list[bool]")

SCALAR_KINDS: dict[type, Kind] = {type(None): NULL, bool: BOOL, int: INT, float: FLOAT, str: STR}
_LISTABLE = frozenset({NULL, BOOL, INT, FLOAT, STR})
_LIST_KINDS = [f"list[{kind}]" for kind in (BOOL, INT, FLOAT, STR)]
_WIDER: dict[frozenset[Kind], Kind] = {
    frozenset((INT, FLOAT)): FLOAT,
    frozenset((INT, BIGINT)): BIGINT,
    frozenset(("list[int]", "list[float]")): "list[float]",
    frozenset((LIST_NULL, JSON)): JSON,
    **{frozenset((LIST_NULL, kind)): kind for kind in _LIST_KINDS},
}
_INT64 = 1 << 63


def cell_of(value: object) -> Cell:
    """Return the value as a cell; the same value gives the same cell in every process.

    Enum members give their value, dates and times ISO 8601, Decimal, Path and UUID their text, tuples lists,
    array scalars (numpy) their Python number. A lone surrogate, which no UTF-8 file can hold, becomes the six
    characters of its escape. Raises TaskError for what has no one text (sets, bytes, objects).
    """
    try:
        return _cell_of(value)
    except RecursionError:
        raise TaskError(
            "a column holds a value nested too deeply for a table", fix="return the parts you need as columns"
        ) from None


def _cell_of(value: object) -> Cell:  # noqa: PLR0911 - one line a type reads better than a table of lambdas
    if value is None or type(value) in (bool, int, float):
        return value  # type: ignore[return-value]  # narrowed by exact type, which mypy does not follow
    if isinstance(value, Enum):
        return _cell_of(value.value)
    if isinstance(value, str):
        return str(value).encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, (list, tuple)):
        return [_cell_of(element) for element in value]
    if isinstance(value, Mapping):
        return {str(_cell_of(name)): _cell_of(element) for name, element in value.items()}
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (Decimal, PurePath, UUID, timedelta)):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    scalar = getattr(value, "item", None)
    if callable(scalar) and getattr(value, "shape", None) == ():
        return _cell_of(scalar())
    raise TaskError(
        f"a column holds a {type(value).__name__}, which has no one form in a table",
        value=repr(value)[:80],
        fix="return text, a number, a bool, None, or a list or mapping of these (sort a set into a list)",
    )


def kind_of(cell: Cell) -> Kind:
    """Return the kind of one cell: a scalar kind, `list[...]` for a list of like scalars, else `json`."""
    kind = SCALAR_KINDS.get(type(cell))
    if kind == INT:
        return INT if -_INT64 <= cell < _INT64 else BIGINT  # type: ignore[operator]  # an int, by its kind
    if kind is not None:
        return kind
    return _list_kind(cell) if isinstance(cell, list) else JSON


def _list_kind(cells: list[Cell]) -> Kind:
    joined = NULL
    for cell in cells:
        joined = join(joined, JSON if type(cell) in (list, dict) else kind_of(cell))
    return f"list[{joined}]" if joined in _LISTABLE else JSON


def join(one: Kind, other: Kind) -> Kind:
    """Return the narrowest kind that holds both; commutative, associative, idempotent."""
    if other in (one, NULL):
        return one
    if one == NULL:
        return other
    return _WIDER.get(frozenset((one, other)), MIXED)


def json_text(cell: Cell) -> str:
    """Return the cell as compact JSON, members in their order; NaN and infinities in Python's spelling."""
    return json.dumps(cell, ensure_ascii=False, separators=(",", ":"))
