"""Rows on disk as they finish, read back in plan order; 8 bytes of memory a case. Knows no experiment.

Rows wait in memory by their shape, about two megabytes of them, and go to the file as columns, an Arrow stream for
each batch: columns of many rows cost a third of what it takes to write each row out and to read it back.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from llmbatch.errors import DiskError, InternalError
from llmbatch.tables.batch import Batch, Scrub, Shape
from llmbatch.tables.cells import Cell, Kind, cell_of, kind_of
from llmbatch.tables.schema import Schema, SchemaUnion

if TYPE_CHECKING:
    import polars as pl

_Piece = tuple[int, "pl.DataFrame", Sequence[int]]
"""Rows that lie in one batch: its number, the rows, and their plan indexes."""

CHUNK_ROWS = 2048
PENDING_CHARACTERS = 1 << 21
_ROW_BITS = 13  # a row weighs 256 characters or more (Shape.add), so that no batch has more than 8,192
_ROW_MASK = (1 << _ROW_BITS) - 1
_ABSENT, _PENDING = -1, -2
_BATCHES_KEPT = 4


class Spool:
    """Keeps finished rows until the table is made: add in any order, read in plan order.

    `declared` gives columns their dtypes by name (`str`, `int`, `float`, `bool`, `list[str]`, ...);
    llmbatch's own columns have theirs. `scrub` takes secrets out of text. One thread adds. The file
    `rows.spool` in the folder is replaced when the spool is made and removed by `close`. Raises DiskError where
    the file cannot be written.
    """

    def __init__(self, folder: Path, *, declared: Mapping[str, Kind] | None = None, scrub: Scrub | None = None) -> None:
        self.path = folder / "rows.spool"
        self._scrub = scrub
        self._declared = dict(declared or {})
        self._union = SchemaUnion(self._declared)
        self._replaced = False
        self._shapes: dict[tuple[tuple[str, ...], tuple[type, ...]], Shape] = {}
        self._last: Shape | None = None
        self._characters = 0
        self._batches: list[tuple[int, Batch]] = []  # each with its offset in the file
        self._runs: list[range] = []  # by batch: its plan indexes, where they follow one another; else an empty range
        self._places = array("q")  # by plan index: the number of the batch and the row in it
        self._count = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = self.path.open("wb", buffering=0)
        except OSError as error:
            raise self._disk_error(error) from error

    def add(self, index: int, row: Mapping[str, Cell]) -> None:
        """Keep the row of the case with this plan index; a second row of an index replaces the first.

        Values need not be cells yet: see `cells.cell_of`, which raises TaskError for what no table can hold.
        """
        self.add_cells(index, tuple(row), tuple(row.values()))

    def add_cells(
        self, index: int, names: tuple[str, ...], cells: tuple[Cell, ...], characters: int | None = None
    ) -> None:
        """Keep a row as `add` does; rows that have one and the same tuple of names are told alike soonest.

        `characters`, about how many are in it, is given with cells that nobody else holds or goes on to change.
        """
        places = self._places
        if index < len(places):
            if index < 0:
                raise InternalError(f"a row has the plan index {index}", fix="plan indexes start at 0")
            if places[index] == _PENDING:
                self._write_down_to(0)  # the row that comes last is to be written last
        types = tuple(map(type, cells))
        shape = self._last
        if shape is None or shape.types != types or shape.names != names:
            shape = self._shape(names, types)
            if shape.is_foreign:
                self.add(index, {str(cell_of(name)): cell_of(value) for name, value in zip(names, cells, strict=True)})
                return
            self._last = shape
        self._characters += shape.add(index, cells, characters)
        if index == len(places):
            places.append(_PENDING)
            self._count += 1
        else:
            self._take_place(index)
        if self._characters >= PENDING_CHARACTERS:
            self._write_down_to(PENDING_CHARACTERS // 2)

    def _shape(self, names: tuple[str, ...], types: tuple[type, ...]) -> Shape:
        shape = self._shapes.get((names, types))
        if shape is None:
            shape = Shape(names, types)
            if not shape.is_foreign:
                self._shapes[names, types] = shape
        return shape

    def _take_place(self, index: int) -> None:
        places = self._places
        if index >= len(places):
            places.extend([_ABSENT] * (index + 1 - len(places)))
        if places[index] == _ABSENT:
            self._count += 1
        else:
            self._replaced = True
        places[index] = _PENDING

    def _write_down_to(self, characters: int) -> None:
        """Write the heaviest shapes until so little waits."""
        shapes = sorted(self._shapes.items(), key=lambda item: item[1].characters)
        while shapes and self._characters > characters:
            key, shape = shapes.pop()
            del self._shapes[key]
            self._characters -= shape.characters
            self._write(shape)
        self._last = None

    def _write(self, shape: Shape) -> None:
        first = len(self._batches) << _ROW_BITS
        batch, frame = shape.columns(self._scrub)
        indexes = shape.indexes
        run = range(indexes[0], indexes[0] + len(indexes))
        if indexes == list(run):
            self._places[run.start : run.stop] = array("q", range(first, first + len(run)))
        else:
            for row, index in enumerate(indexes):
                self._places[index] = first + row
            run = range(0)
        self._union.see(min(indexes), ((column.name, column.kind) for column in batch.columns))
        self._batches.append((self._file.tell(), batch))
        self._runs.append(run)
        try:
            frame.write_ipc_stream(self._file)
        except Exception as error:
            raise self._disk_error(error) from error

    def __len__(self) -> int:
        return self._count

    def __contains__(self, index: int) -> bool:
        return 0 <= index < len(self._places) and self._places[index] != _ABSENT

    @property
    def schema(self) -> Schema:
        """The columns of the rows added so far: a function of the set of rows, not of their order."""
        self._write_down_to(0)
        if self._replaced:
            self._union = SchemaUnion(self._declared)
            for index, row in self._indexed_rows():
                self._union.see(index, ((name, kind_of(cell)) for name, cell in row.items()))
            self._replaced = False
        return self._union.schema()

    def iter_rows(self) -> Iterator[dict[str, Cell]]:
        """Yield the rows in plan order, each with the columns it was added with."""
        return (row for _, row in self._indexed_rows())

    def _indexed_rows(self) -> Iterator[tuple[int, dict[str, Cell]]]:
        for pieces in self._windows(CHUNK_ROWS):
            rows = [
                item
                for batch, frame, indexes in pieces
                for item in zip(indexes, batch.rows(frame, len(indexes)), strict=True)
            ]
            yield from sorted(rows, key=itemgetter(0))

    def iter_chunks(self, size: int = CHUNK_ROWS) -> Iterator[pl.DataFrame]:
        """Yield frames of up to `size` rows in plan order, all of the one schema; none for an empty spool."""
        import polars as pl  # noqa: PLC0415 - loaded when a table is made

        schema = self.schema
        for pieces in self._windows(size):
            frames = [batch.widened(frame, len(indexes), schema) for batch, frame, indexes in pieces]
            chunk = pl.concat(frames)
            order = [index for _, _, indexes in pieces for index in indexes]
            yield chunk if order == sorted(order) else chunk[pl.Series(order).arg_sort()]

    def empty_frame(self) -> pl.DataFrame:
        """Return the table's columns without rows."""
        import polars as pl  # noqa: PLC0415 - as above

        return pl.DataFrame(schema=self.schema.dtypes())

    def _windows(self, size: int) -> Iterator[list[tuple[Batch, pl.DataFrame, Sequence[int]]]]:
        """Yield the rows of `size` plan indexes at a time, by batch: the batch, its rows, and their plan indexes."""
        self.flush()
        with self.path.open("rb") as file:
            read = self._reader(file)
            in_order = self._batches_in_order()
            for start in range(0, len(self._places), size):
                window = range(start, min(start + size, len(self._places)))
                pieces = self._pieces(window, read) if in_order is None else _cut(window, in_order, read)
                if pieces:
                    yield [(self._batches[number][1], frame, indexes) for number, frame, indexes in pieces]

    def _batches_in_order(self) -> list[tuple[range, int]] | None:
        """Return the batches by plan index, where each is a run of its own; None where rows are among one another."""
        runs = sorted(zip(self._runs, range(len(self._runs)), strict=True), key=lambda pair: pair[0].start)
        at = 0
        for run, _ in runs:
            if not run or run.start != at:
                return None
            at = run.stop
        return runs

    def _pieces(self, window: range, read: Callable[[int], pl.DataFrame]) -> list[_Piece]:
        """Return the rows of a window by batch, each row looked for by its place."""
        held = self._places[window.start : window.stop]
        places = sorted(pair for pair in zip(held, window, strict=True) if pair[0] != _ABSENT)
        pieces: list[_Piece] = []
        while places:
            number = places[0][0] >> _ROW_BITS
            mine = [pair for pair in places if pair[0] >> _ROW_BITS == number]
            places = places[len(mine) :]
            frame = read(number)
            if frame.width:
                frame = frame[[place & _ROW_MASK for place, _ in mine]]
            pieces.append((number, frame, [index for _, index in mine]))
        return pieces

    def _reader(self, file: BinaryIO) -> Callable[[int], pl.DataFrame]:
        import polars as pl  # noqa: PLC0415 - as above

        @lru_cache(_BATCHES_KEPT)
        def read(number: int) -> Any:
            offset = self._batches[number][0]
            end = self._batches[number + 1][0] if number + 1 < len(self._batches) else self._file.tell()
            file.seek(offset)
            return pl.read_ipc_stream(file.read(end - offset))

        return read

    def flush(self) -> None:
        """Hand what waits to the operating system."""
        self._write_down_to(0)
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

    def _disk_error(self, error: Exception) -> DiskError:
        return DiskError(
            f"rows cannot be kept in {self.path}: {getattr(error, 'strerror', None) or error}",
            fix="free space or choose another results folder, then rerun: recorded answers cost nothing",
        )


def _cut(window: range, runs: Sequence[tuple[range, int]], read: Callable[[int], pl.DataFrame]) -> list[_Piece]:
    """Return the rows of a window by batch, cut out of batches that are runs of plan indexes."""
    pieces: list[_Piece] = []
    at = bisect_right(runs, window.start, key=lambda pair: pair[0].start) - 1
    for run, number in runs[at:]:
        if run.start >= window.stop:
            break
        here = range(max(run.start, window.start), min(run.stop, window.stop))
        pieces.append((number, read(number)[here.start - run.start : here.stop - run.start], here))
    return pieces
