"""The spool's lines made rows and frames again. Knows no file and no order.

A line is a JSON object. A cell that strict JSON cannot give back (NaN, integers beyond 64 bits, mappings,
nested lists) is stored as `{"": "<its JSON text>"}`; no other cell is stored as an object.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import orjson

from llmbatch.tables.cells import BIGINT, FLOAT, JSON, MIXED, Cell, Kind, json_text
from llmbatch.tables.schema import Schema

if TYPE_CHECKING:
    import polars as pl


def row_of(line: bytes, packed: Collection[str]) -> dict[str, Cell]:
    """Return the row of a line; `packed` names the columns that may hold packed cells."""
    row: dict[str, Cell] = orjson.loads(line)
    for name in packed:
        cell = row.get(name)
        if isinstance(cell, dict):
            row[name] = json.loads(str(cell[""]))
    return row


def frame_of(lines: Sequence[bytes], schema: Schema, packed: Collection[str]) -> pl.DataFrame:
    """Return the rows of the lines (each ending in a newline) as a frame; a column a row lacks is null there.

    polars reads the plain columns itself, four times as fast as they could be handed over from Python;
    columns that hold packed cells or become text are made here.
    """
    import polars as pl  # noqa: PLC0415 - loaded when a table is made, not when a row is

    dtypes = schema.dtypes()
    if not lines:
        return pl.DataFrame(schema=dtypes)
    ours = [name for name, kind in schema.kinds.items() if name in packed or kind in (JSON, MIXED, BIGINT)]
    theirs = {name: dtype for name, dtype in dtypes.items() if name not in ours}
    made = pl.read_ndjson(b"".join(lines), schema=theirs).to_dict() if theirs else {}
    if ours:
        rows = [row_of(line, packed) for line in lines]
        for name in ours:
            cells = [_value(row.get(name), schema.kinds[name]) for row in rows]
            made[name] = pl.Series(name, cells, dtype=dtypes[name], strict=True)
    return pl.DataFrame({name: made[name] for name in dtypes})


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
