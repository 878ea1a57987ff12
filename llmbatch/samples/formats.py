"""A sample file by its suffix: streamed as records, and refused when it changes between two passes."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from llmbatch.errors import SampleError
from llmbatch.samples.csv_rows import read_csv
from llmbatch.samples.jsonl import read_jsonl
from llmbatch.samples.parquet import read_parquet
from llmbatch.samples.values import Record

_TEXT_SUFFIXES = (".jsonl", ".ndjson", ".csv")
SUFFIXES = (*_TEXT_SUFFIXES, *(suffix + ".gz" for suffix in _TEXT_SUFFIXES), ".parquet")

_INSTEAD = {
    ".json": "write one object a line and call it .jsonl",
    ".tsv": "write it with commas and call it .csv",
    ".xlsx": "save the sheet as .csv, UTF-8",
    ".xls": "save the sheet as .csv, UTF-8",
    ".txt": "write one object a line and call it .jsonl",
}


def check_suffix(path: Path, name: str) -> None:
    """Raise SampleError where the file's suffix names no format of samples."""
    if not path.name.lower().endswith(SUFFIXES):
        suffix = path.suffix.lower()
        raise SampleError(
            f"{suffix or 'a file without a suffix'} is not a format of samples",
            place=name,
            formats=", ".join(SUFFIXES),
            fix=_INSTEAD.get(suffix, "convert it to one of these formats"),
        )


class SampleFile:
    """The records of one file; each call of `records` starts over. `name` is what messages call the file."""

    is_fixed = True

    def __init__(self, path: Path, name: str) -> None:
        check_suffix(path, name)
        self.path = path
        self.name = name
        self.place_of_all = f"{name}:"
        self._stamp: tuple[int, int] | None = None

    def place(self, number: int) -> str:
        """Return `file:line` of a record."""
        return f"{self.place_of_all}{number}"

    def count(self) -> int:
        """Return the number of records, bad ones included. Raises SampleError as `records` does."""
        return sum(1 for _ in self.records(parsed=False))

    def records(self, *, parsed: bool = True, only: str | None = None) -> Iterator[Record]:
        """Yield the file's records in order; those of JSON lines unread unless `parsed`, as is enough to count them.

        With `only` they may hold that one field alone.

        Raises SampleError where the file is gone, damaged as a whole, or not the one an earlier pass read.
        """
        number = 0
        self._check_unchanged()
        try:
            for record in self._read(parsed, only):
                number = record.number
                yield record
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise SampleError(
                f"the compressed file is damaged: {error}",
                place=self.place(number + 1),
                fix=f"copy or download {self.name} again; `gzip -t` checks it",
            ) from error
        except OSError as error:
            raise SampleError(f"{self.name} cannot be read: {error.strerror or error}", fix="check the file") from error
        self._check_unchanged()

    def _read(self, parsed: bool, only: str | None) -> Iterator[Record]:
        lower = self.path.name.lower()
        if lower.endswith(".parquet"):
            yield from read_parquet(self.path, self.name)
            return
        with self._opened() as stream:
            if not lower.removesuffix(".gz").endswith(".csv"):
                yield from read_jsonl(stream, parsed=parsed, only=only)
                return
            with io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="") as text:
                yield from read_csv(text, self.name)

    def _opened(self) -> BinaryIO:
        if self.path.name.lower().endswith(".gz"):
            return cast("BinaryIO", io.BufferedReader(gzip.open(self.path, "rb"), 1 << 17))
        return self.path.open("rb", buffering=1 << 17)

    def _check_unchanged(self) -> None:
        try:
            status = self.path.stat()
        except OSError as error:
            raise SampleError(
                f"{self.name} cannot be read: {error.strerror or error}", fix="put the file back"
            ) from error
        stamp = (status.st_size, status.st_mtime_ns)
        if self._stamp is not None and stamp != self._stamp:
            raise SampleError(
                f"{self.name} changed while the run was reading it",
                before=f"{self._stamp[0]} bytes",
                now=f"{stamp[0]} bytes",
                fix="start the run again: what is recorded stays recorded",
            )
        self._stamp = stamp
