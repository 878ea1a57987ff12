"""The interactions as a table: the same columns in the file and in the frame, whatever the bodies are."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from llmbatch.call.values import Reply
from llmbatch.cassette.store import Store
from llmbatch.cassette.upkeep.exchange.frame import COLUMNS, interactions_frame
from llmbatch.cli import main
from tests.cassette.upkeep.conftest import REPLIES, URL, Fill


def test_the_parquet_file_is_the_frame(tmp_path: Path, fill: Fill) -> None:
    """Two ways to one table, with the dtypes that the page names."""
    fill(tmp_path / "mine")
    assert 0 == main(
        ["cassette", "export", str(tmp_path / "mine"), "--to", str(tmp_path / "out.parquet"), "--failures"]
    )
    written = pl.read_parquet(tmp_path / "out.parquet")

    assert written.equals(interactions_frame(tmp_path / "mine", failures=True).collect())
    dtypes = {"str": pl.String(), "int": pl.Int64(), "instant": pl.Datetime("us", "UTC")}
    assert {name: dtypes[kind] for name, kind in COLUMNS.items()} == dict(written.schema)


def test_a_row_says_what_was_asked_and_answered(tmp_path: Path, fill: Fill) -> None:
    """The model's text, tokens and names are read from the body; an attempt without a response has none."""
    fill(tmp_path / "mine")
    rows = interactions_frame(tmp_path / "mine", failures=True).collect().to_dicts()
    first, attempt = rows[0], rows[-1]

    assert len(REPLIES) + 4 == len(rows)
    asked = {name: first[name] for name in ("case", "model", "model_returned", "status", "tokens_in", "tokens_out")}
    assert {
        "case": "t[v]::1",
        "model": "m",
        "model_returned": "m-1",
        "status": 200,
        "tokens_in": 7,
        "tokens_out": 2,
    } == asked
    assert "caf\u00e9 \U0001f600\u2028\x85" == first["text"]
    assert datetime(2026, 11, 22, 9, 30, 0, 123456, UTC) == first["recorded_at"]
    assert (1500, "stop", None) == (first["taken_us"], first["finish_reason"], first["kind"])
    assert ("server_error", None, None) == (attempt["kind"], attempt["status"], attempt["response_body"])


def test_columns_can_be_chosen_and_rows_filtered(tmp_path: Path, fill: Fill) -> None:
    """As with any lazy frame."""
    fill(tmp_path / "mine")
    frame = interactions_frame(tmp_path / "mine")

    assert [1, 2] == frame.filter(pl.col("repeat") == 1).select("ordinal").collect()["ordinal"].sort().to_list()
    assert 3 == len(frame.head(3).collect())


def test_an_empty_cassette_is_a_frame_without_rows(tmp_path: Path) -> None:
    """With all columns, so that a script goes on."""
    assert (0, len(COLUMNS)) == interactions_frame(tmp_path).collect().shape


def test_what_no_table_can_hold_is_null(tmp_path: Path) -> None:
    """A stranger's cassette may say anything of times and counts."""
    with Store(tmp_path, record_mode="new_episodes") as store:
        call = store.call(store.request("GET", URL, {}, b"[" * 5000), 2**63 - 1, 2**63)
        store.record(call, Reply(200, "", {}, b"\xff{", "yesterday", 2**64 - 1))
    (row,) = interactions_frame(tmp_path).collect().to_dicts()

    assert (2**63 - 1, None, None, None) == (row["repeat"], row["ordinal"], row["recorded_at"], row["taken_us"])
    assert ("\ufffd{", None) == (row["response_body"], row["text"])
