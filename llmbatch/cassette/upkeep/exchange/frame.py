"""The interactions of a cassette as a polars frame, one row each, made in chunks. Knows no file format of ours.

polars is imported when a frame is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmbatch.call.failure import Failure
from llmbatch.call.values import Interaction, RecordedFailure
from llmbatch.cassette.store import Store
from llmbatch.cassette.upkeep.addressee import model_of
from llmbatch.parse.completion import Usage, read_completion, usage_of

if TYPE_CHECKING:
    import polars as pl

COLUMNS = {
    "key": "str",
    "case": "str",
    "generation": "int",
    "repeat": "int",
    "ordinal": "int",
    "method": "str",
    "url": "str",
    "model": "str",
    "model_returned": "str",
    "status": "int",
    "kind": "str",
    "message": "str",
    "tokens_in": "int",
    "tokens_out": "int",
    "finish_reason": "str",
    "text": "str",
    "recorded_at": "instant",
    "taken_us": "int",
    "request_body": "str",
    "response_body": "str",
}
"""Name to type: `str` is String, `int` Int64, `instant` Datetime in microseconds and UTC."""

_CHUNK_ROWS = 2048
_CHUNK_BYTES = 16 << 20
_GROUP_ROWS = 16_384
_GROUP_BYTES = 64 << 20
_INT64 = 2**63
_FOUND = Interaction | RecordedFailure


def interactions_frame(folder: Path, *, failures: bool = False) -> pl.LazyFrame:
    """Return one row for each answer that wins, in the order of the segments, with the columns of `COLUMNS`.

    With `failures` the last failed attempt of each call follows, with its `kind` and `message`. The frame is lazy:
    the cassette is read when it is collected (CassetteDamaged is raised then), and `sink_parquet` or a filter need
    no more memory for a large one. Bodies are text; bytes that are not UTF-8 stand as U+FFFD.
    """

    def chunks() -> Iterator[pl.DataFrame]:
        with Store(folder) as store:
            yield from frames_of(store, failures=failures)

    return _lazy(chunks)


def write_parquet(store: Store, path: Path, *, failures: bool) -> int:
    """Write the frame of an open store as Parquet and return its rows. Memory does not grow with their number."""
    rows = 0

    def counted() -> Iterator[pl.DataFrame]:
        nonlocal rows
        for frame in frames_of(store, failures=failures):
            rows += len(frame)
            yield frame

    stored = sum(file.stat().st_size for file in store.folder.glob("*.yaml"))
    each = max(1, stored // max(1, len(store)))
    _lazy(counted).sink_parquet(
        path,
        compression="zstd",
        compression_level=3,
        row_group_size=max(1, min(_GROUP_ROWS, _GROUP_BYTES // each)),
        maintain_order=True,
        engine="streaming",
    )
    return rows


def frames_of(store: Store, *, failures: bool) -> Iterator[pl.DataFrame]:
    """Yield frames of up to 2,048 rows, or about 16 MiB of bodies; one without rows for an empty cassette."""
    import polars as pl  # noqa: PLC0415 - few ask for a frame, and it takes long to load

    schema = _schema()
    chunk: list[tuple[Any, ...]] = []
    held = 0
    yield pl.DataFrame(schema=schema)
    found: Iterator[_FOUND] = chain(store, store.failures() if failures else ())
    for each in found:
        row = _row(each)
        chunk.append(tuple(row[name] for name in COLUMNS))
        held += len(each.call.request.body or b"") + (len(each.reply.body) if each.reply else 0)
        if len(chunk) >= _CHUNK_ROWS or held >= _CHUNK_BYTES:
            yield pl.DataFrame(chunk, schema=schema, orient="row")
            chunk, held = [], 0
    if chunk:
        yield pl.DataFrame(chunk, schema=schema, orient="row")


def _lazy(chunks: Any) -> pl.LazyFrame:
    from polars.io.plugins import register_io_source  # noqa: PLC0415 - as above

    def read(
        columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, size: int | None
    ) -> Iterator[pl.DataFrame]:
        left = rows
        for whole in chunks():
            frame = whole if left is None else whole.head(left)
            left = None if left is None else left - len(frame)
            frame = frame if predicate is None else frame.filter(predicate)
            yield frame if columns is None else frame.select(columns)
            if left == 0:
                return

    return register_io_source(read, schema=_schema())


def _schema() -> dict[str, Any]:
    import polars as pl  # noqa: PLC0415 - as above

    dtypes = {"str": pl.String(), "int": pl.Int64(), "instant": pl.Datetime("us", "UTC")}
    return {name: dtypes[kind] for name, kind in COLUMNS.items()}


def _row(found: _FOUND) -> dict[str, Any]:
    call, reply = found.call, found.reply
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row["key"] = call.key.hex()
    row["repeat"], row["ordinal"] = _int64(call.repeat), _int64(call.ordinal)
    row["method"], row["url"] = call.request.method, call.request.url
    row["request_body"] = _text(call.request.body)
    row["model"] = model_of(call.request.body)
    if isinstance(found, RecordedFailure):
        row["kind"], row["message"] = found.kind, found.message
    else:
        row["case"], row["generation"] = found.case, _int64(found.generation)
    if reply is not None:
        row["status"], row["taken_us"] = reply.status, _int64(reply.taken_us)
        row["recorded_at"] = _instant(reply.recorded_at)
        row["response_body"] = _text(reply.body)
        row |= _answer(reply.body, reply.header("content-type"))
    return row


def _answer(body: bytes, content_type: str | None) -> dict[str, Any]:
    """Return what a reply of a model says; embeddings and the like have their model and tokens only."""
    completion = read_completion(body, content_type)
    if isinstance(completion, Failure):
        return {"model_returned": model_of(body), **_tokens(usage_of(body))}
    told = {"model_returned": completion.served_model, "finish_reason": completion.finish_reason}
    return {"text": completion.text, **told, **_tokens(completion.usage)}


def _tokens(usage: Usage | None) -> dict[str, int | None]:
    if usage is None:
        return {}
    return {"tokens_in": _int64(usage.tokens_in), "tokens_out": _int64(usage.tokens_out)}


def _text(body: bytes | None) -> str | None:
    return None if body is None else body.decode("utf-8", "replace")


def _int64(value: int) -> int | None:
    return value if -_INT64 <= value < _INT64 else None


def _instant(text: str) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text)
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
