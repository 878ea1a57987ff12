"""Nothing from data reaches the terminal as a command."""

from __future__ import annotations

import io
import unicodedata

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from llmbatch.report.safe import safe
from llmbatch.report.terminal import print_tables

HOSTILE = [
    "\x1b[2J\x1b[H cleared",
    "\x1b]0;title\x07",
    "\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\",
    "\x9b31m",
    "[/foo][link=http://evil]x[/link]",
    "a\rb\x08\x7f",
    "\u202eabc\u2066",
    "\ud800",
]


@given(st.text())
def test_what_is_safe_has_no_control_character_but_newline_and_tab(text: str) -> None:
    """C0, DEL, C1, separators of lines, bidirectional controls, lone surrogates."""
    shown = safe(text)

    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") and c not in "\n\t"]
    assert not [c for c in shown if unicodedata.bidirectional(c) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI")]


@given(st.text(st.characters(categories=("L", "N", "S", "Zs", "P"))))
def test_ordinary_text_is_as_it_was(text: str) -> None:
    """Letters of every script, signs and spaces."""
    assert safe(text) == text


def test_controls_are_shown() -> None:
    """A reader sees that something was there."""
    assert safe("\x1b[31m\x7f\x9b\u202e") == "␛[31m␡\\u009b\\u202e"


@pytest.mark.parametrize("text", HOSTILE)
def test_no_escape_from_data_reaches_a_terminal(text: str) -> None:
    """In a cell, a column name and a table's name, with colour forced; and rich never sees markup."""
    frame = pl.DataFrame({"x" + text.replace("\ud800", "?"): [text.replace("\ud800", "?")]})
    out, harmless = io.StringIO(), io.StringIO()
    for stream, name, table in ((out, text, frame), (harmless, "name", pl.DataFrame({"x": ["y"]}))):
        print_tables(Console(file=stream, force_terminal=True, width=120), {name: table})

    assert out.getvalue().count("\x1b") == harmless.getvalue().count("\x1b")
    assert not set("\x07\x08\x7f\x9b\r\u202e\u2066\ud800") & set(out.getvalue())
