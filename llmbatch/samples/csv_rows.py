"""Records of CSV with a header line, every value a str, in bounded memory. Knows no identity and no truth."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import TextIO

from llmbatch.errors import SampleError
from llmbatch.samples.jsonl import LONGEST_LINE
from llmbatch.samples.location import joined
from llmbatch.samples.values import Record, canonical_json


def read_csv(text: TextIO, name: str) -> Iterator[Record]:
    """Yield a record for each row that is not blank; a ragged or damaged row has its `problem` set.

    Bytes that are not UTF-8 come as the lone surrogates of `surrogateescape`: they cost their row, not the file.
    Raises SampleError for a header that cannot name fields, and for a quote that is never closed: it would
    swallow the rows after it.
    """
    # csv's limit is one for the process and far below a source file's size; it is only ever raised
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE))
    lines = _Lines(text, name)
    reader = csv.reader(lines, strict=True)  # strict: `"a"b` and a quote left open are errors, not guesses
    header: list[str] | None = None
    while True:
        lines.kept.clear()
        start = lines.number + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if lines.at_end:
                raise _open_quote(name, start, lines.number) from None
            raw = "".join(lines.kept).encode("utf-8", "surrogateescape")
            yield Record(start, None, problem=f"not CSV: {error}", raw=raw)
            continue
        if not row:
            continue
        if header is None:
            header = _checked_header(row, f"{name}:{start}")
        else:
            yield _record(start, header, row, lines.kept)


class _Lines:
    """The text lines of the stream, those of the current row kept: a quoted field may span several."""

    def __init__(self, text: TextIO, name: str) -> None:
        self._text = text
        self._name = name
        self.kept: list[str] = []
        self.number = 0
        self.at_end = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._text.readline(LONGEST_LINE + 1)
        if not line:
            self.at_end = True
            raise StopIteration
        self.number += 1
        if len(line) > LONGEST_LINE:
            place = f"{self._name}:{self.number}"
            raise SampleError(f"a line is longer than {LONGEST_LINE} characters", place=place, fix="is it a CSV file?")
        self.kept.append(line)
        return line


def _record(number: int, header: list[str], row: list[str], lines: list[str]) -> Record:
    if len(row) != len(header):
        raw = canonical_json([_shown(cell) for cell in row])
        return Record(number, None, problem=f"{len(row)} cells where the header has {len(header)}", raw=raw)
    if not all(line.isascii() for line in lines):
        raw = "".join(lines).encode("utf-8", "surrogateescape")
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError as error:
            problem = f"not UTF-8: byte {raw[error.start]:#04x} (save the file as UTF-8)"
            return Record(number, None, problem=problem, raw=raw)
    return Record(number, dict(zip(header, row, strict=True)))


def _shown(cell: str) -> str:
    return cell.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _checked_header(header: list[str], place: str) -> list[str]:
    if any("\udc80" <= letter <= "\udcff" for cell in header for letter in cell):
        raise SampleError("the header is not UTF-8", place=place, fix="save the file as UTF-8")
    twice = [cell for at, cell in enumerate(header) if cell in header[:at]]
    if twice:
        raise SampleError(
            f"two columns are called {twice[0]!r}",
            place=place,
            columns=joined(header),
            fix="rename one: a sample's fields are told apart by name",
        )
    return header


def _open_quote(name: str, start: int, last: int) -> SampleError:
    return SampleError(
        "a quote that opens in this row is never closed",
        place=f"{name}:{start}",
        lost=f"lines {start} to {last}: they would all be one cell",
        fix='close the quote, or double it ("") where it is text',
    )
