"""A spool made a file: Parquet, CSV, JSON lines; and the digest of a table. Knows no task and no report.

Parquet files are a function of the rows and of the polars version: compression level, row-group size and
statistics are fixed, and rows stream from the spool in plan order, so memory does not grow with their number.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import orjson

from llmbatch.columns import VOLATILE_COLUMNS
from llmbatch.errors import DiskError
from llmbatch.tables.spool import Spool

if TYPE_CHECKING:
    import polars as pl

Format = Literal["parquet", "csv", "jsonl"]
__all__ = ["VOLATILE_COLUMNS", "Format", "frame_digest", "write_frame", "write_rows"]

ZSTD_LEVEL = 1
ROW_GROUP_ROWS = 4096
"""polars holds two groups while it writes: rows of 4 KB take 35 MB, and four times that with groups of 16,384."""
_DIGEST_ROWS = 4096
_SPREADSHEET_FORMULA = "^([=+\\-@\t\r])"


def write_rows(
    spool: Spool,
    path_without_suffix: Path,
    formats: Sequence[Format] = ("parquet",),
    *,
    spreadsheet_safe: bool = False,
) -> Path:
    """Write the rows in plan order, one file a format, and return the path of the first.

    Each file appears whole or not at all. Without rows the files have llmbatch's own columns. CSV joins lists
    by newlines; JSON lines have null for NaN and infinities, which JSON does not know. `spreadsheet_safe`
    puts `'` before CSV text that a spreadsheet would run as a formula: it changes data (OWASP, CSV
    Injection). Raises DiskError where a file cannot be written.
    """
    write: dict[Format, Callable[[Path], None]] = {
        "parquet": lambda path: _write_parquet(spool, path),
        "csv": lambda path: _write_csv(_chunks(spool), path, spreadsheet_safe=spreadsheet_safe),
        "jsonl": lambda path: _write_jsonl(_chunks(spool), path),
    }
    return _write_each(path_without_suffix, formats, write)


def write_frame(
    frame: pl.DataFrame,
    path_without_suffix: Path,
    formats: Sequence[Format] = ("parquet",),
    *,
    spreadsheet_safe: bool = False,
) -> Path:
    """Write a table as `write_rows` writes the rows, and return the path of the first file."""
    write: dict[Format, Callable[[Path], None]] = {
        "parquet": lambda path: frame.write_parquet(
            path, compression="zstd", compression_level=ZSTD_LEVEL, row_group_size=ROW_GROUP_ROWS
        ),
        "csv": lambda path: _write_csv([frame], path, spreadsheet_safe=spreadsheet_safe),
        "jsonl": lambda path: _write_jsonl([frame], path),
    }
    return _write_each(path_without_suffix, formats, write)


def _write_each(stem: Path, formats: Sequence[Format], write: dict[Format, Callable[[Path], None]]) -> Path:
    paths = []
    for form in formats:
        path = stem.with_name(f"{stem.name}.{form}")
        with _whole(path) as unfinished:
            write[form](unfinished)
        paths.append(path)
    return paths[0]


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Give a path beside the wanted one, and put it in its place when it was written without an error."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield unfinished
        unfinished.replace(path)
    except Exception as error:
        if not isinstance(error, OSError) and "os error" not in str(error):  # polars wraps some in errors of its own
            raise
        raise DiskError(
            f"{path} cannot be written: {getattr(error, 'strerror', None) or error}",
            fix="free space or choose another results folder, then rerun: recorded answers cost nothing",
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)


def _chunks(spool: Spool) -> Iterator[pl.DataFrame]:
    """Yield the spool's frames, and one without rows where there are none, so that a file has its columns."""
    if not spool:
        yield spool.empty_frame()
    yield from spool.iter_chunks()


def _write_parquet(spool: Spool, path: Path) -> None:
    from polars.io.plugins import register_io_source  # noqa: PLC0415 - loaded when a table is made

    def read(
        columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, size: int | None
    ) -> Iterator[pl.DataFrame]:
        assert predicate is None  # this source is only ever copied whole
        assert rows is None
        for frame in _chunks(spool):
            yield frame if columns is None else frame.select(columns)

    register_io_source(read, schema=spool.schema.dtypes(), is_pure=True).sink_parquet(
        path,
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        row_group_size=ROW_GROUP_ROWS,
        statistics=True,
        maintain_order=True,
        engine="streaming",
    )


def _write_csv(frames: Iterable[pl.DataFrame], path: Path, *, spreadsheet_safe: bool) -> None:
    import polars as pl  # noqa: PLC0415 - as above
    import polars.selectors as cs  # noqa: PLC0415

    lists_joined = cs.list().cast(pl.List(pl.String)).list.join("\n", ignore_nulls=False)
    with path.open("wb") as file:
        for number, frame in enumerate(frames):
            flat = frame.with_columns(lists_joined)
            if spreadsheet_safe:
                flat = flat.with_columns(cs.string().str.replace(_SPREADSHEET_FORMULA, "'$1"))
            flat.write_csv(file, include_header=number == 0)


def _write_jsonl(frames: Iterable[pl.DataFrame], path: Path) -> None:
    with path.open("wb") as file:
        for frame in frames:
            frame.write_ndjson(file)


def frame_digest(frames: pl.DataFrame | Iterable[pl.DataFrame], *, without: Collection[str] = ()) -> str:
    """Return the sha256 (hex) of a table's schema and ordered values, however it is cut into frames.

    `without=VOLATILE_COLUMNS` leaves out what two recordings cannot share. The same on every machine and for
    every polars that names dtypes alike. An Iterable without a frame has no schema, and the digest of
    nothing.
    """
    import polars as pl  # noqa: PLC0415 - as above

    columns: dict[str, tuple[str, hashlib._Hash]] = {}
    for frame in [frames] if isinstance(frames, pl.DataFrame) else frames:
        for series in frame:
            if series.name in without:
                continue
            dtype, digest = columns.setdefault(series.name, (str(series.dtype), hashlib.sha256()))
            assert dtype == str(series.dtype), f"{series.name} is {dtype} in one frame, {series.dtype} in another"
            for start in range(0, len(series), _DIGEST_ROWS):
                digest.update(_elements(series.slice(start, _DIGEST_ROWS)))
    whole = hashlib.sha256()
    for name, (dtype, digest) in columns.items():
        whole.update(orjson.dumps([name, dtype, digest.hexdigest()], option=orjson.OPT_APPEND_NEWLINE))
    return whole.hexdigest()


def _elements(series: pl.Series) -> bytes:
    """Return the values as JSON, a comma after each; floats keep NaN and infinities, which orjson drops."""
    values = series.to_list()
    if series.dtype.is_float() or series.dtype.is_nested():
        text = json.dumps(values, ensure_ascii=True, separators=(",", ":"), default=str).encode()
    else:
        text = orjson.dumps(values, default=str)
    return text[1:-1] + b","
