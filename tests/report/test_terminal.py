"""Tables as a person sees them."""

from __future__ import annotations

import io
from typing import Any

import polars as pl
import pytest
from rich.cells import cell_len
from rich.console import Console

from llmbatch.report.built_in import accuracy_text, grids_of
from llmbatch.report.grid import cell_text, grid
from llmbatch.report.terminal import fitted, print_tables

SUMMARY = pl.DataFrame(
    {
        "task": ["classify", "classify"],
        "variant": ["local/qwen2.5-coder-1.5b-commit_classify.md", "openai/gpt-4o-mini-commit_classify_cot.md"],
        "n": [1200, 1200],
        "samples": [1200, 1200],
        "ok": [1190, 1200],
        "answered": [1195, 1200],
        "failed": [10, 0],
        "failures": ["parse_error 5, timeout 5", ""],
        "n_scored": [1190, 1200],
        "n_correct": [1023, 1100],
        "accuracy": [0.859664, 0.916667],
        "accuracy_low": [0.838712, 0.899657],
        "accuracy_high": [0.878296, 0.931013],
        "tokens_in": [123456, 2],
        "tokens_out": [4, 5],
        "cost_usd": [None, 0.25],
    }
)


def printed(tables: dict[str, pl.DataFrame], width: int | None = None) -> str:
    """Return what is printed: into a file, or on a terminal of this width."""
    stream = io.StringIO()
    console = None if width is None else Console(file=stream, force_terminal=True, color_system=None, width=width)
    print_tables(console, tables, stream=stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("value", "column", "shown"),
    [
        (None, "", "-"),
        (0.12345, "prob", "0.123"),
        (0.12345, "cost_usd", "0.1235"),
        (1234567, "n", "1,234,567"),
        (True, "flag", "True"),
        ("two\n lines", "", "two lines"),
        ("x" * 100, "", "x" * 59 + "…"),
        ("x" * 100, "case", "x" * 100),
        (pl.Series(["a", "b"]), "", "a; b"),
    ],
)
def test_a_cell_is_one_line(value: Any, column: str, shown: str) -> None:
    """Floats have 3 digits, dollars 4, integers their thousands."""
    assert cell_text(value, column) == shown


def test_accuracy_is_shown_with_its_interval() -> None:
    """Never without."""
    assert accuracy_text(0.859664, 0.79, 0.91) == "0.86 [0.79, 0.91]"
    assert accuracy_text(None, None, None) == "-"


@pytest.mark.parametrize("width", [None, 80, 140])
def test_the_summary_shows_what_matters_at_any_width(width: int | None) -> None:
    """Counts, accuracy and failures are there at 80 columns too."""
    text = printed({"summary": SUMMARY}, width)

    assert "summary of classify" in text
    assert "0.86 [0.84, 0.88]" in text
    assert "1,190" in text
    assert "parse_error 5" in text


@pytest.mark.parametrize("width", [20, 40, 80, 140])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """Wide characters count double; columns left out are named."""
    frame = pl.DataFrame({f"column{i}": ["漢字" * 20, "x" * 50] for i in range(8)})
    lines = printed({"wide": frame, "summary": SUMMARY}, width).splitlines()

    assert max(cell_len(line) for line in lines) <= width
    assert any("not shown for want of width" in " ".join(lines[at : at + 4]) or width < 40 for at in range(len(lines)))


def test_ids_are_cut_in_the_middle() -> None:
    """The sample stands at the end of a case's id."""
    cases = grid("failures", pl.DataFrame({"case": [f"task[{'v' * 60}]-s{i}" for i in range(2)], "n": [1, 2]}))

    assert [row[0][-4:] for row in fitted(cases, 40).rows] == ["]-s0", "]-s1"]


def test_failures_show_ten_and_how_many_more() -> None:
    """The rest is in the files."""
    frame = pl.DataFrame({"case": [f"c{i}" for i in range(1234)]})
    (shown,) = grids_of("failures", frame)

    assert (len(shown.rows), shown.notes) == (10, ("and 1,224 more",))


def test_a_confusion_is_one_grid_a_variant() -> None:
    """Truth down, prediction across."""
    frame = pl.DataFrame(
        {"task": ["t", "t"], "variant": ["a", "b"], "truth": ["x", "x"], "x": [1, 2], "(no answer)": [0, 1]}
    )
    first, second = grids_of("confusion", frame)

    assert "t[a]" in first.title
    assert second.rows == (("x", "2", "1"),)


def test_a_custom_table_named_like_a_built_in_one_is_shown_as_it_is() -> None:
    """Forms go by columns, not by name alone."""
    assert "hello" in printed({"summary": pl.DataFrame({"x": ["hello"]}), "confusion": pl.DataFrame({"y": [1]})})


def test_numbers_are_right_aligned_in_plain_text_and_nothing_is_cut() -> None:
    """A file has no width, and no escape codes."""
    assert printed({"t": pl.DataFrame({"name": ["a", "bb"], "n": [1, 1000]})}) == (
        "t\nname      n\n----  -----\na         1\nbb    1,000\n\n"
    )


def test_empty_tables_are_left_out() -> None:
    """No heading over nothing."""
    assert printed({"failures": SUMMARY.head(0)}) == ""
