"""Rows on disk as they finish, read back in plan order; 8 bytes of memory a case. Knows no experiment."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self

import orjson

from llmbatch.errors import DiskError, InternalError
from llmbatch.tables.cells import Cell, Kind
from llmbatch.tables.lines import frame_of, row_of
from llmbatch.tables.schema import Schema, SchemaUnion, normal_row

if TYPE_CHECKING:
    import polars as pl

CHUNK_ROWS = 2048
_ABSENT = -1


class Spool:
    """Keeps finished rows until the table is made: add in any order, read in plan order.

    `declared` gives columns their dtypes by name (`str`, `int`, `float`, `bool`, `list[str]`, ...);
    llmbatch's own columns have theirs. `scrub` takes secrets out of a row's JSON. One thread adds. The file
    `rows.spool` in the folder is replaced when the spool is made and removed by `close`. Raises DiskError where
    the file cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        *,
        declared: Mapping[str, Kind] | None = None,
        scrub: Callable[[bytes], bytes] = lambda line: line,
    ) -> None:
        self.path = folder / "rows.spool"
        self._scrub = scrub
        self._declared = dict(declared or {})
        self._union = SchemaUnion(self._declared)
        self._schema: Schema | None = None
        self._replaced = False
        self._offsets = array("q")
        self._end = 0
        self._count = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = self.path.open("wb", buffering=1 << 18)
        except OSError as error:
            raise self._disk_error(error) from error

    def add(self, index: int, row: Mapping[str, Cell]) -> None:
        """Keep the row of the case with this plan index; a second row of an index replaces the first.

        Values need not be cells yet: see `cells.cell_of`, which raises TaskError for what no table can hold.
        """
        line = self._scrub(self._line(index, row))
        if index >= len(self._offsets):
            self._offsets.extend([_ABSENT] * (index + 1 - len(self._offsets)))
        try:
            self._file.write(line)
        except OSError as error:
            raise self._disk_error(error) from error
        if self._offsets[index] == _ABSENT:
            self._count += 1
        else:
            self._replaced = True
        self._offsets[index] = self._end
        self._end += len(line)
        self._schema = None

    def _line(self, index: int, row: Mapping[str, Cell]) -> bytes:
        if index < 0:
            raise InternalError(f"a row has the plan index {index}", fix="plan indexes start at 0")
        try:
            return orjson.dumps(self._union.see(index, row), option=orjson.OPT_APPEND_NEWLINE)
        except orjson.JSONEncodeError:  # text with a lone surrogate
            return orjson.dumps(self._union.see(index, normal_row(row)), option=orjson.OPT_APPEND_NEWLINE)

    def __len__(self) -> int:
        return self._count

    def __contains__(self, index: int) -> bool:
        return 0 <= index < len(self._offsets) and self._offsets[index] != _ABSENT

    @property
    def schema(self) -> Schema:
        """The columns of the rows added so far: a function of the set of rows, not of their order."""
        if self._schema is None:
            if self._replaced:
                union = SchemaUnion(self._declared)
                for index, line in self._indexed_lines():
                    union.see(index, row_of(line, self._union.packed))
                self._union = union
                self._replaced = False
            self._schema = self._union.schema()
        return self._schema

    def iter_rows(self) -> Iterator[dict[str, Cell]]:
        """Yield the rows in plan order, each with the columns it was added with."""
        return (row_of(line, self._union.packed) for _, line in self._indexed_lines())

    def iter_chunks(self, size: int = CHUNK_ROWS) -> Iterator[pl.DataFrame]:
        """Yield frames of up to `size` rows in plan order, all of the one schema; none for an empty spool."""
        schema = self.schema
        lines = (line for _, line in self._indexed_lines())
        while chunk := list(islice(lines, size)):
            yield frame_of(chunk, schema, self._union.packed)

    def empty_frame(self) -> pl.DataFrame:
        """Return the table's columns without rows."""
        return frame_of([], self.schema, ())

    def _indexed_lines(self) -> Iterator[tuple[int, bytes]]:
        """Read a window of plan indexes at a time, within it in file order: forwards on the disk."""
        self.flush()
        with self.path.open("rb", buffering=1 << 16) as file:
            for start in range(0, len(self._offsets), CHUNK_ROWS):
                window = self._offsets[start : start + CHUNK_ROWS]
                places = sorted((offset, at) for at, offset in enumerate(window) if offset != _ABSENT)
                lines = {}
                for offset, at in places:
                    file.seek(offset)
                    lines[at] = file.readline()
                for at in sorted(lines):
                    yield start + at, lines[at]

    def flush(self) -> None:
        """Hand what is buffered to the operating system."""
        try:
            self._file.flush()
        except OSError as error:
            raise self._disk_error(error) from error

    def close(self) -> None:
        """Close and remove the file; the rows are gone. Never raises."""
        with suppress(OSError):  # what could not be flushed is thrown away anyway
            self._file.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _disk_error(self, error: OSError) -> DiskError:
        return DiskError(
            f"rows cannot be kept in {self.path}: {error.strerror or error}",
            fix="free space or choose another results folder, then rerun: recorded answers cost nothing",
        )
