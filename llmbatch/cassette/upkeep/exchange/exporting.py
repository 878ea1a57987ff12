"""Writing a cassette as one file that others read: stock vcrpy's YAML, JSON lines, Parquet. Changes no cassette."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import yaml

from llmbatch.call.values import Interaction, RecordedFailure
from llmbatch.cassette.store import Store
from llmbatch.cassette.upkeep.exchange.json_lines import json_line
from llmbatch.errors import DiskError, UsageError

ExportFormat = Literal["vcr", "jsonl", "parquet"]
FORMAT_OF_SUFFIX: Mapping[str, ExportFormat] = {
    ".yaml": "vcr",
    ".yml": "vcr",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}

_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def export(store: Store, target: Path, form: ExportFormat, *, failures: bool = False, force: bool = False) -> int:
    """Write the answers that win, in the order of the segments, and return how many interactions are in the file.

    With `failures` the last failed attempt of each call follows. YAML has no place for an attempt without a response,
    which is left out there. The file appears whole or not at all. Raises UsageError where there is one already,
    unless `force`; DiskError; CassetteDamaged.
    """
    if not force and (target.exists() or target.is_symlink()):
        raise UsageError(f"{target} exists already", fix="name another file, or overwrite it with --force")
    attempts = store.failures() if failures else iter(())
    with whole_file(target) as unfinished:
        if form == "parquet":
            from llmbatch.cassette.upkeep.exchange.frame import write_parquet  # noqa: PLC0415 - loads polars

            return write_parquet(store, unfinished, failures=failures)
        write = _write_vcr if form == "vcr" else _write_json_lines
        return write(unfinished, chain(store, attempts))


def _write_json_lines(path: Path, found: Iterable[Interaction | RecordedFailure]) -> int:
    return _write_pieces(path, map(json_line, found))


def _write_vcr(path: Path, found: Iterable[Interaction | RecordedFailure]) -> int:
    """Write one interaction at a time what vcrpy dumps at once: block style, members sorted, all of it ASCII."""
    pieces = (
        yaml.dump([_as_vcrpy(each)], Dumper=_DUMPER, default_flow_style=False).encode()
        for each in found
        if each.reply is not None
    )
    # a list of nothing must be written as one: vcrpy iterates over it
    return _write_pieces(path, pieces, before=b"interactions:\n", empty=b"interactions: []\n", after=b"version: 1\n")


def _as_vcrpy(found: Interaction | RecordedFailure) -> dict[str, Any]:
    request, reply = found.call.request, found.reply
    assert reply is not None
    return {
        "request": {
            "method": request.method,
            "uri": request.url,
            "body": None if request.body is None else _text_or_bytes(request.body),
            "headers": {name: list(values) for name, values in request.headers.items()},
        },
        "response": {
            "status": {"code": reply.status, "message": reply.reason},
            "headers": {name: list(values) for name, values in reply.headers.items()},
            "body": {"string": _text_or_bytes(reply.body)},
        },
    }


def _text_or_bytes(body: bytes) -> str | bytes:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


def _write_pieces(
    path: Path, pieces: Iterator[bytes], *, before: bytes = b"", empty: bytes = b"", after: bytes = b""
) -> int:
    number = 0
    with path.open("wb", buffering=1 << 20) as file:
        for number, piece in enumerate(pieces, 1):
            if number == 1:
                file.write(before)
            file.write(piece)
        if number == 0:
            file.write(empty)
        file.write(after)
        file.flush()
        os.fsync(file.fileno())
    return number


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a new file's path beside the wanted one, and put it in its place when it was written without an error."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.unlink(missing_ok=True)
        yield unfinished
        unfinished.replace(path)
    except Exception as error:
        if not isinstance(error, OSError) and "os error" not in str(error):  # polars wraps some in errors of its own
            raise
        raise DiskError(
            f"{path} cannot be written: {getattr(error, 'strerror', None) or error}",
            fix="free space or name a file elsewhere with --to; the cassette is as it was",
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)
