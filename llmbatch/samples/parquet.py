"""Records of a Parquet file, read in batches. Knows neither identity nor truth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from llmbatch.errors import SampleError
from llmbatch.samples.values import NotJsonLikeError, Record, json_like

_BATCH_ROWS = 8_192


def read_parquet(path: Path, name: str) -> Iterator[Record]:
    """Yield a record for each row, values JSON-like (dates as ISO 8601 text, null as None).

    A row with NaN or a binary value has its `problem` set. Raises SampleError where the file is no Parquet.
    """
    import polars as pl  # noqa: PLC0415  # most runs read no Parquet samples and should not wait for it

    number = 0
    try:
        for batch in pl.scan_parquet(path, glob=False).collect_batches(chunk_size=_BATCH_ROWS, maintain_order=True):
            for row in batch.iter_rows(named=True):
                number += 1
                yield _record(number, row)
    except pl.exceptions.PolarsError as error:
        raise SampleError(
            f"not a Parquet file that can be read: {str(error).splitlines()[0]}",
            place=f"{name}:{number + 1}",
            fix="write it again, or use .jsonl",
        ) from error


def _record(number: int, row: dict[str, object]) -> Record:
    try:
        return Record(number, json_like(row))
    except NotJsonLikeError as error:
        return Record(number, None, problem=str(error), raw=repr(row).encode("utf-8", "replace"))
