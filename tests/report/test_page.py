"""A page is wrapped for a person at a terminal, and left as it is for a file."""

from __future__ import annotations

import io
import re

import pytest
from rich.cells import cell_len

from llmbatch.report.page import Field, Heading, Part, Text, print_page

PAGE: list[Part] = [
    Heading("interaction \x1b[31m"),
    Field("case", "task[variant]::sample " * 6),
    Field("a.rather.long.path.of.members.that.is.a.field.of.a.body", "1 -> 2"),
    Heading("request", level=2),
    Text("  indented, and 日本語 of two columns each " * 5 + "\n\nlast\x9b", "user"),
    Text("before " * 30, "line 3", mark="-"),
    Text("after", "line 3", mark="+"),
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def printed(stream: io.StringIO) -> str:
    print_page(PAGE, stream=stream)
    return stream.getvalue()


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_terminal_gets_lines_that_fit(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """Wrapped at words under where they began, nothing cut off, and nothing obeyed."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)

    text = printed(Terminal())

    assert "\x1b[1m" in text
    assert re.search(r"\x1b\[2m  case +\x1b\[0mtask", text)  # the name of a value is dim, the value is not
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert "\x1b" not in plain
    assert "\x9b" not in plain
    assert width >= max(map(cell_len, plain.splitlines()))
    assert "".join(printed(io.StringIO()).split()) == "".join(plain.split())


def test_a_file_gets_each_text_as_it_is() -> None:
    """One line a line, no colour: for `grep` and for reports of bugs."""
    lines = printed(io.StringIO()).splitlines()

    assert "interaction ␛[31m" == lines[0]
    assert "    last\\u009b" in lines
    assert "    - " + "before " * 30 in lines
    assert ["", "request"] == lines[3:5]
