"""Headings, fields and texts on a terminal or into a file: what `llmbatch cassette` shows of one thing.

Everything printed here passes `safe`. Colours are for terminals only; into a file or a pipe each text goes as it
is, not wrapped.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TextIO

from llmbatch.report.safe import safe

LABEL_CHARACTERS = 16
_MARK_STYLES = {"-": "red", "+": "green"}


@dataclass(frozen=True, slots=True)
class Heading:
    """A line that begins something; level 1 stands for itself, level 2 is a part of it."""

    text: str
    level: int = 1


@dataclass(frozen=True, slots=True)
class Field:
    """A short value with its name."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Text:
    """A text of any length under its name, each line indented; `mark` is - or + in a difference."""

    text: str
    label: str = ""
    mark: str = ""


Part = Heading | Field | Text


def print_page(parts: Iterable[Part], *, stream: TextIO | None = None) -> None:
    """Print the parts one below the other, with an empty line before each heading but the first."""
    stream = stream if stream is not None else sys.stdout
    printer = _Terminal(stream) if stream.isatty() else _Plain(stream)
    first, label = True, None
    for part in parts:
        if isinstance(part, Heading):
            if not first:
                printer.line("")
            printer.line(safe(_one_line(part.text)), style="bold" if part.level == 1 else "bold cyan")
            label = None
        elif isinstance(part, Field):
            printer.field(safe(_one_line(part.label)), safe(_one_line(part.value)))
        elif part.mark:
            if part.label and part.label != label:
                printer.line(f"  {safe(part.label)}", style="dim")
            label = part.label
            printer.text(safe(part.text), indent=4, mark=part.mark, style=_MARK_STYLES[part.mark])
        else:
            printer.line(f"  [{safe(_one_line(part.label))}]", style="dim")
            printer.text(safe(part.text), indent=4)
        first = False


def _one_line(text: str) -> str:
    return " ".join(text.split("\n"))


class _Plain:
    """Lines as they are, for files and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def line(self, text: str, *, style: str = "") -> None:
        print(text, file=self._stream)

    def field(self, label: str, value: str) -> None:
        print(f"  {label:<{LABEL_CHARACTERS}}  {value}".rstrip(), file=self._stream)

    def text(self, text: str, *, indent: int, mark: str = "", style: str = "") -> None:
        lead = " " * indent + (f"{mark} " if mark else "")
        for line in text.split("\n"):
            print((lead + line).rstrip() if not mark else lead + line, file=self._stream)


class _Terminal(_Plain):
    """Lines wrapped at words, continued under where they began."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        from rich.console import Console  # noqa: PLC0415 - only a terminal needs rich

        self._console = Console(file=stream, highlight=False)

    def line(self, text: str, *, style: str = "") -> None:
        from rich.text import Text as RichText  # noqa: PLC0415 - as above

        self._console.print(RichText(text, style=style))

    def field(self, label: str, value: str) -> None:
        lead = f"  {label:<{LABEL_CHARACTERS}}  "
        if len(lead) > self._console.width // 2:  # a long name stands for itself, its value below
            self.line(f"  {label}", style="dim")
            lead = " " * 4
        self._hanging(lead, value, lead_style="dim")

    def text(self, text: str, *, indent: int, mark: str = "", style: str = "") -> None:
        lead = " " * indent + (f"{mark} " if mark else "")
        for line in text.split("\n"):
            self._hanging(lead, line, style=style, lead_style=style)

    def _hanging(self, lead: str, text: str, *, style: str = "", lead_style: str = "") -> None:
        from rich.text import Text as RichText  # noqa: PLC0415 - as above

        width = max(8, self._console.width - len(lead))
        for number, line in enumerate(RichText(text, style=style).wrap(self._console, width) or [RichText()]):
            line.rstrip()
            begin = (" " * len(lead), "") if number else (lead, lead_style)
            self._console.print(RichText.assemble(begin, line), soft_wrap=True)
