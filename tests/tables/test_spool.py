"""Rows in any order become one table, in plan order, the same bytes every time."""

from __future__ import annotations

import errno
import json
import math
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from llmbatch.errors import DiskError, InternalError
from llmbatch.tables.cells import Cell
from llmbatch.tables.spool import Spool
from llmbatch.tables.write import write_rows

Row = dict[str, Any]

scalars = st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.just(2**200) | st.floats() | st.text(max_size=6)
values = (
    scalars
    | st.lists(st.text(max_size=4), max_size=3)
    | st.lists(st.integers(-5, 5) | st.sampled_from([2**64, 2**200]) | st.floats() | st.none(), max_size=3)
    | st.dictionaries(st.text(max_size=3), scalars, max_size=2)
)
names = st.sampled_from(["a", "b", "ünï", "", "llmbatch_text"])
row_lists = st.lists(st.dictionaries(names, values, max_size=4), max_size=12)


def table_of(rows: Sequence[Row], order: Sequence[int], *, chunk: int = 3, **declared: str) -> pl.DataFrame:
    """Return the frame of rows that were added in this order."""
    with TemporaryDirectory() as folder, Spool(Path(folder), declared=declared) as spool:
        for index in order:
            spool.add(index, rows[index])
        return pl.concat([spool.empty_frame(), *spool.iter_chunks(chunk)])


def test_rows_come_back_in_plan_order_however_they_finished(tmp_path: Path) -> None:
    """The plan index places a row; gaps are cases that have no row."""
    with Spool(tmp_path) as spool:
        for index in (7, 2, 5000, 4):
            spool.add(index, {"x": index})

        assert [row["x"] for row in spool.iter_rows()] == [2, 4, 7, 5000]
        assert len(spool) == 4
        assert 7 in spool
        assert 3 not in spool


@settings(max_examples=40, deadline=None)
@given(row_lists, st.randoms(use_true_random=False))
def test_any_order_of_the_same_rows_gives_the_same_table(rows: list[Row], shuffled: random.Random) -> None:
    """Schema and values are a function of the set of rows, never of completion order."""
    order = list(range(len(rows)))
    shuffled.shuffle(order)

    assert_frame_equal(table_of(rows, range(len(rows))), table_of(rows, order, chunk=5), check_exact=True)


@settings(max_examples=40, deadline=None)
@given(row_lists)
def test_every_cell_comes_back_as_it_went_in(rows: list[Row]) -> None:
    """NaN, infinities, integers of any size, mappings and empty lists survive the spool."""
    with TemporaryDirectory() as folder, Spool(Path(folder)) as spool:
        for index, row in enumerate(rows):
            spool.add(index, row)

        assert [json.dumps(row) for row in rows] == [json.dumps(row) for row in spool.iter_rows()]


@pytest.mark.parametrize(
    ("cells", "dtype", "expected"),
    [
        ([1, None], pl.Int64, [1, None]),
        ([1, 0.5, None], pl.Float64, [1.0, 0.5, None]),
        ([None, None], pl.String, [None, None]),
        ([1, 2**64], pl.String, ["1", str(2**64)]),
        ([1, 2**200], pl.String, ["1", str(2**200)]),
        ([[1], [None, 2**200]], pl.String, ["[1]", f"[null,{2**200}]"]),
        ([["a"], [], None], pl.List(pl.String), [["a"], [], None]),
        ([[1], [0.5, None]], pl.List(pl.Float64), [[1.0], [0.5, None]]),
        ([{"b": 1, "a": [None]}, None], pl.String, ['{"b":1,"a":[null]}', None]),
        ([[{"a": 1}], []], pl.String, ['[{"a":1}]', "[]"]),
        ([math.inf, 1, -0.0], pl.Float64, [math.inf, 1.0, -0.0]),
        (["\ud800é"], pl.String, ["\\ud800é"]),
        ([Path("a"), "b"], pl.String, ["a", "b"]),
    ],
)
def test_the_dtype_of_a_column_is_the_union_over_its_cells(cells: list[Cell], dtype: Any, expected: list[Cell]) -> None:
    """Null takes any type, int widens to float, what 64 bits cannot hold is text, structure is JSON text."""
    column = table_of([{"x": cell} for cell in cells], range(len(cells)))["x"]

    assert (dtype, expected) == (column.dtype, column.to_list())


def test_unlike_cells_make_the_whole_column_json_text_and_it_is_named(tmp_path: Path) -> None:
    """No value of a mixed column is lost, and every one tells its type."""
    with Spool(tmp_path) as spool:
        cells: list[Any] = ["1", 1, True, math.nan, None, [1], {"k": 1}]
        for index, cell in enumerate(cells):
            spool.add(index, {"x": cell, "y": index})
        table = pl.concat(spool.iter_chunks())

        assert spool.schema.mixed == ("x",)
        assert table["x"].to_list() == ['"1"', "1", "true", "NaN", None, "[1]", '{"k":1}']
        assert pl.Int64 == table["y"].dtype


def test_columns_stand_in_plan_order_of_first_appearance() -> None:
    """Not in the order of the rows that finished first."""
    rows = [{"b": 1}, {"a": 1, "b": 2}, {"c": 1, "a": 2}]

    assert table_of(rows, [2, 1, 0]).columns == ["b", "a", "c"]


def test_a_declared_dtype_holds_for_a_column_without_values() -> None:
    """Else a column's type would depend on whether any case had an answer."""
    table = table_of([{"x": None}], [0], x="list[str]", y="float")

    assert {"x": pl.List(pl.String), "y": pl.Float64} == dict(table.schema)


def test_a_value_that_does_not_fit_its_declared_dtype_is_kept() -> None:
    """Declarations type a column; they never turn a value into null."""
    assert table_of([{"x": "many"}, {"x": 3}], [0, 1], x="int")["x"].to_list() == ['"many"', "3"]


def test_an_unknown_declared_dtype_is_our_bug(tmp_path: Path) -> None:
    """Declarations come from llmbatch, not from authors."""
    with pytest.raises(InternalError, match="float64"):
        Spool(tmp_path, declared={"x": "float64"})


def test_a_row_made_again_takes_the_place_of_the_first_in_schema_too(tmp_path: Path) -> None:
    """A replaced row leaves no column and no type behind."""
    with Spool(tmp_path) as spool:
        spool.add(0, {"x": "text", "gone": math.nan})
        spool.add(1, {"x": 1})
        spool.add(0, {"x": 2})

        assert pl.concat(spool.iter_chunks()).to_dict(as_series=False) == {"x": [2, 1]}
        assert spool.schema.kinds == {"x": "int"}


def test_rows_of_ever_new_shapes_do_not_pile_up(tmp_path: Path) -> None:
    """Optional fields come in exponentially many shapes; what is kept grows with the columns."""
    with Spool(tmp_path) as spool:
        for index in range(12_000):
            spool.add(index, {f"c{bit}": index for bit in range(14) if index >> bit & 1})

        assert len(spool._shapes) <= 8192
        assert {f"c{bit}" for bit in range(14)} == set(spool.schema.kinds)


def test_closing_removes_the_file(tmp_path: Path) -> None:
    """A spool is working space."""
    with Spool(tmp_path) as spool:
        spool.add(0, {"x": 1})
        spool.flush()
        assert spool.path.exists()

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_a_disk_error(tmp_path: Path) -> None:
    """The message names the file and says that nothing is paid for again."""
    (tmp_path / "file").write_text("in the way", encoding="utf-8")

    with pytest.raises(DiskError, match="rows cannot be kept"):
        Spool(tmp_path / "file")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_a_disk_error_and_closing_never_raises(tmp_path: Path) -> None:
    """ENOSPC comes when the buffer is written."""
    spool = Spool(tmp_path)
    spool._file.close()
    spool._file = open("/dev/full", "wb")  # noqa: SIM115, PTH123 - closed by the spool
    spool.add(0, {"x": 1})

    with pytest.raises(DiskError, match=os.strerror(errno.ENOSPC)):
        spool.flush()
    spool.close()


def test_rows_are_not_held_in_memory(tmp_path: Path) -> None:
    """20,000 rows of 1 KB would be 20 MB if they were held; a process of its own measures the peak."""
    script = """
import sys
from pathlib import Path
from llmbatch.tables.spool import Spool
import polars, tracemalloc
tracemalloc.start()
with Spool(Path(sys.argv[1])) as spool:
    for index in reversed(range(20_000)):
        spool.add(index, {"id": index, "text": f"{index} " * 200})
    print(tracemalloc.get_traced_memory()[1])
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )

    assert int(done.stdout) < 4_000_000


def test_the_parquet_file_is_the_same_bytes_for_any_completion_order(tmp_path: Path) -> None:
    """Shuffled completion, 20,000 rows in several row groups, lists, nulls and NaN."""
    rows: list[Row] = [
        {
            "id": f"s{i}",
            "steps": ["a", str(i)],
            "p": math.nan if i % 7 == 0 else i / 7,
            "d": {"k": i} if i % 5 else None,
        }
        for i in range(20_000)
    ]
    files = []
    for seed in (None, 1):
        order = list(range(len(rows)))
        if seed is not None:
            random.Random(seed).shuffle(order)
        with Spool(tmp_path / f"{seed}") as spool:
            for index in order:
                spool.add(index, rows[index])
            files.append(write_rows(spool, tmp_path / f"rows-{seed}"))

    assert files[0].read_bytes() == files[1].read_bytes()
    assert [row["id"] for row in rows] == pl.read_parquet(files[0])["id"].to_list()
