"""Files of rows: whole, in plan order, the same bytes for the same rows; and the digest of a table."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmbatch.columns import OWN_COLUMNS
from llmbatch.errors import DiskError
from llmbatch.tables.spool import Spool
from llmbatch.tables.write import VOLATILE_COLUMNS, frame_digest, write_frame, write_rows

ROWS: list[dict[str, Any]] = [
    {"id": "a", "steps": ["one", "two"], "p": 0.1, "n": 1, "ok": True},
    {"id": "b,\n", "steps": [], "p": math.nan, "n": None, "ok": None},
    {"id": '=HYPERLINK("x")', "steps": None, "p": None, "n": 2, "ok": False},
]


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """A spool with three rows."""
    with Spool(tmp_path / "work") as spool:
        for index, row in enumerate(ROWS):
            spool.add(index, row)
        yield spool


def test_each_format_is_written_and_the_first_is_returned(spool: Spool, tmp_path: Path) -> None:
    """A dot in the name is not a suffix."""
    path = write_rows(spool, tmp_path / "out" / "gpt-4.1", ["parquet", "csv", "jsonl"])

    assert path == tmp_path / "out" / "gpt-4.1.parquet"
    assert sorted(each.name for each in path.parent.iterdir()) == [
        "gpt-4.1.csv",
        "gpt-4.1.jsonl",
        "gpt-4.1.parquet",
    ]


def test_parquet_holds_every_value(spool: Spool, tmp_path: Path) -> None:
    """NaN stays NaN, null stays null, an empty list stays an empty list."""
    table = pl.read_parquet(write_rows(spool, tmp_path / "rows"))

    assert repr(table.to_dicts()) == repr(ROWS)


def test_csv_joins_lists_by_newlines_and_tells_null_from_empty(spool: Spool, tmp_path: Path) -> None:
    """Null is nothing between commas, empty text is two quotes."""
    path = write_rows(spool, tmp_path / "rows", ["csv"])

    assert path.read_bytes().decode() == (
        'id,steps,p,n,ok\na,"one\ntwo",0.1,1,true\n"b,\n","",NaN,,\n"=HYPERLINK(""x"")",,,2,false\n'
    )


def test_csv_for_spreadsheets_disarms_formulas(spool: Spool, tmp_path: Path) -> None:
    """OWASP CSV Injection: text that starts a formula is put after an apostrophe, on request only."""
    path = write_rows(spool, tmp_path / "rows", ["csv"], spreadsheet_safe=True)

    assert "'=HYPERLINK" in path.read_text(encoding="utf-8")


def test_json_lines_have_null_for_what_json_does_not_know(spool: Spool, tmp_path: Path) -> None:
    """Each line is one row, with every column."""
    lines = write_rows(spool, tmp_path / "rows", ["jsonl"]).read_text(encoding="utf-8").splitlines()

    assert lines[1] == r'{"id":"b,\n","steps":[],"p":null,"n":null,"ok":null}'


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_a_run_without_rows_writes_a_valid_file(tmp_path: Path, form: Any) -> None:
    """It has the declared columns and llmbatch's own, so that code that reads it needs no special case."""
    with Spool(tmp_path / "work", declared={"category": "str"}) as spool:
        path = write_rows(spool, tmp_path / "rows", [form])

    assert path.exists()
    if form == "parquet":
        table = pl.read_parquet(path)
        assert table.columns == ["category", *(column.name for column in OWN_COLUMNS)]
        assert table.schema["llmbatch_repeat"] == pl.Int64
        assert table.height == 0


def test_a_file_that_fails_leaves_what_was_there(spool: Spool, tmp_path: Path) -> None:
    """Files are replaced whole or not at all, and nothing unfinished stays behind."""
    path = write_rows(spool, tmp_path / "rows")
    before = path.read_bytes()
    spool.add(3, {"id": "d"})
    spool.flush()
    spool.path.unlink()

    with pytest.raises(DiskError, match="No such file"):
        write_rows(spool, tmp_path / "rows")
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == ["rows.parquet"]


@pytest.mark.skipif(sys.platform == "win32", reason="the limit that plays a full disk is POSIX")
@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_a_full_disk_is_a_disk_error_in_every_format(tmp_path: Path, form: str) -> None:
    """polars wraps the system's error in one of its own; the exit code must still say disk."""
    script = """
import os, resource, sys
from pathlib import Path
from llmbatch.errors import DiskError
from llmbatch.tables.spool import Spool
from llmbatch.tables.write import write_rows
folder = Path(sys.argv[1])
with Spool(folder) as spool:
    for index in range(500):
        spool.add(index, {"x": os.urandom(500).hex()})
    spool.flush()
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        write_rows(spool, folder / "rows", [sys.argv[2]])
    except DiskError as error:
        print(error.what, sorted(path.name for path in folder.iterdir()))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), form], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )

    assert "cannot be written" in done.stdout
    assert "['rows.spool']" in done.stdout


def test_the_bytes_do_not_depend_on_the_number_of_threads(tmp_path: Path) -> None:
    """Another machine has other cores; polars fixes its threads at import, so each runs in its own process."""
    script = """
import sys
from collections.abc import Iterator
from pathlib import Path
from llmbatch.tables.spool import Spool
from llmbatch.tables.write import write_rows
with Spool(Path(sys.argv[1])) as spool:
    for index in range(17_000):
        spool.add(index, {"id": str(index), "p": index / 7, "steps": [str(index)]})
    write_rows(spool, Path(sys.argv[1]) / "rows")
"""
    files = []
    for threads in ("1", "5"):
        folder = tmp_path / threads
        subprocess.run(
            [sys.executable, "-c", script, str(folder)], check=True, cwd=Path.cwd(), env={"POLARS_MAX_THREADS": threads}
        )
        files.append((folder / "rows.parquet").read_bytes())

    assert files[0] == files[1]


def test_a_table_is_written_like_the_rows(tmp_path: Path) -> None:
    """`write_frame` is for built-in and custom tables."""
    frame = pl.DataFrame({"a": [1, 2], "l": [["x", "y"], None]})

    assert pl.read_parquet(write_frame(frame, tmp_path / "t")).equals(frame)
    assert write_frame(frame, tmp_path / "t", ["csv"]).read_text(encoding="utf-8") == 'a,l\n1,"x\ny"\n2,\n'


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.none() | st.floats(), st.none() | st.text(max_size=4)), max_size=20),
    st.integers(1, 7),
)
def test_the_digest_does_not_depend_on_how_the_table_is_cut(rows: list[tuple[Any, Any]], size: int) -> None:
    """A stream of frames and the whole frame are one table."""
    frame = pl.DataFrame(rows, schema={"f": pl.Float64, "s": pl.String}, orient="row")

    assert frame_digest(frame) == frame_digest([frame.head(0), *frame.iter_slices(size)])


@pytest.mark.parametrize(
    "other",
    [
        {"a": [1, 2], "b": [0.5, None]},
        {"a": [2, 1], "b": [math.nan, None]},
        {"b": [math.nan, None], "a": [1, 2]},
        {"a": ["1", "2"], "b": [math.nan, None]},
        {"a": [1, 2], "b": [None, math.nan]},
        {"a": [1, 2], "c": [math.nan, None]},
        {"a": [1, 2], "b": [math.inf, None]},
    ],
)
def test_any_change_of_schema_order_or_value_changes_the_digest(other: dict[str, list[Any]]) -> None:
    """NaN, null and infinity are three values."""
    frame = pl.DataFrame({"a": [1, 2], "b": [math.nan, None]})

    assert frame_digest(frame) == frame_digest(frame.clone())
    assert frame_digest(frame) != frame_digest(pl.DataFrame(other))


def test_two_recordings_are_compared_without_what_they_cannot_share() -> None:
    """Times and request ids are left out on request only."""
    one, two = (pl.DataFrame({"x": [1], "llmbatch_taken_us": [taken]}) for taken in (5, 6))

    assert frame_digest(one, without=VOLATILE_COLUMNS) == frame_digest(two, without=VOLATILE_COLUMNS)
    assert frame_digest(one) != frame_digest(two)


def test_the_digest_is_the_same_in_every_release() -> None:
    """Papers print it: this value may never change."""
    frame = pl.DataFrame({"s": ["é", None], "f": [0.1, math.nan], "l": [["a"], []], "b": [True, None]})

    assert frame_digest(frame) == "1c51583aed1b418b36058bd969e38bfeef5bb6a9ff119f933b595559f2f129cb"
