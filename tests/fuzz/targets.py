"""What must hold for any bytes given to the readers of foreign files. One function a reader, no fuzzer.

A target raises where a promise is broken. Only errors of ours may come out of a reader, and each target
says what else holds. A checksum keeps a fuzzer out, so the targets put the right one behind what they are given:
then only the checks behind it stand between a stranger's bytes and a crash.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import yaml

from llmbatch.cassette.line import (
    BadLineError,
    Decoded,
    decode,
    decode_reply,
    encode,
    frame,
    payload_of,
    with_crc,
)
from llmbatch.cassette.segment import FAILURES, SEGMENT, Metadata, SegmentName, header_bytes
from llmbatch.cassette.store import Store
from llmbatch.cassette.upkeep.exchange.batch_output import BatchRequests, read_batch_output
from llmbatch.cassette.upkeep.exchange.importing import Counts, Importer
from llmbatch.cassette.upkeep.exchange.incoming import Incoming, Unusable
from llmbatch.cassette.upkeep.exchange.json_lines import read_json_lines
from llmbatch.cassette.upkeep.exchange.stock_yaml import read_stock_yaml
from llmbatch.cassette.verify import digest_of
from llmbatch.errors import CassetteDamaged, UsageError

_HEADER = header_bytes(Metadata())


def check_line(data: bytes) -> None:
    """A line whose checksum holds, and one that is taken as it is: BadLineError, or values that stay the same."""
    for line in (data, with_crc(b"- ", data)):
        for read in (frame, decode_reply, lambda text: payload_of(text, b"- ")):
            with suppress(BadLineError):
                read(line)
        try:
            found = decode(line)
        except BadLineError:
            continue
        _check_decoded(found, line)
        if found.reply is not None and found.kind is None:
            assert found.reply == decode_reply(line), line


def _check_decoded(found: Decoded, line: bytes) -> None:
    digest_of(found.call.request)
    failure = None if found.kind is None or found.message is None else (found.kind, found.message)
    again = encode(
        found.call,
        found.reply,
        generation=found.generation,
        case=found.case,
        failure=failure,
        recorded_at=found.recorded_at,
    )
    assert found == decode(again), (line, again)
    assert (found.call.key, found.generation) == frame(again), again
    assert again.count(b"\n") == 1, again
    if found.reply is not None and failure is None:
        assert found.reply == decode_reply(again), again


def check_folder(data: bytes, folder: Path) -> None:
    """Files of a cassette: opening, iterating, looking up and verifying raise errors of ours or find them.

    The bytes are cut at each 0xFF, which no file of a cassette holds, into the lines of one file; a piece that
    begins with `- ` or `metadata: ` is given its checksum. The first byte says what kind of file it is.
    """
    if not data:
        return
    name = SegmentName(FAILURES if data[0] & 1 else SEGMENT, 1)
    lines = [_with_right_crc(piece) for piece in data[1:].split(b"\xff")]
    content = (_HEADER if data[0] & 2 else b"") + b"".join(lines)
    (folder / name.file).write_bytes(content)
    try:
        problems = Store(folder).verify()
        try:
            with Store(folder) as store:
                _use(store, sound=not problems)
        except CassetteDamaged:
            assert problems, content
    finally:
        (folder / name.file).unlink()


def _with_right_crc(piece: bytes) -> bytes:
    for prefix in (b"- ", b"metadata: "):
        if piece.startswith(prefix):
            return with_crc(prefix, piece[len(prefix) :])
    return piece


def _use(store: Store, *, sound: bool) -> None:
    """Look at everything; in a sound cassette nothing may fail."""
    try:
        for interaction in store:
            store.find(interaction.call.key)
            store.prices(interaction.call.key, "m")
        for failure in store.failures():
            store.find_failure(failure.call.key)
            failure.as_failure()
        store.content_digest()
    except CassetteDamaged:
        assert not sound


def check_yaml(data: bytes) -> None:
    """A stock cassette: refused, or the same texts and bytes as PyYAML's own safe loader makes of it.

    That loader is safe here only because the reader has read to the end first: no alias, no depth.
    """
    try:
        found = list(read_stock_yaml(BytesIO(data), "fuzz.yaml"))
    except CassetteDamaged:
        return
    try:
        stock = yaml.load(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))["interactions"]
    except (yaml.YAMLError, ValueError, TypeError, KeyError, RecursionError):  # as for dates that are none
        return
    assert len(found) == len(stock)
    for ours, theirs in zip(found, stock, strict=True):
        if isinstance(ours, Incoming) and isinstance(theirs["request"]["uri"], str):
            assert ours.url == theirs["request"]["uri"]
            body = theirs["response"].get("body")
            body = body.get("string") if isinstance(body, dict) else body
            if isinstance(body, str | bytes) and ours.reply is not None:
                assert ours.reply.body == (body.encode() if isinstance(body, str) else body)


def check_import(data: bytes, folder: Path) -> None:
    """Any foreign file taken into a cassette: what comes in is a sound cassette, and a second time changes nothing.

    The first byte says which format. A batch's output and its requests are cut apart at the first 0xFF.
    """
    cassette, asked = folder / "into", folder / "asked.jsonl"
    output, _, requests = data[1:].partition(b"\xff")
    asked.write_bytes(requests)
    skipped: list[Unusable] = []
    try:
        first = _taken(data[:1], output, cassette, asked, skipped)
        assert Store(cassette).verify() == []
        again = _taken(data[:1], output, cassette, asked, skipped)
        assert again.interactions == 0, (first, again)
    except (CassetteDamaged, UsageError):
        assert Store(cassette).verify() == []
    finally:
        shutil.rmtree(cassette, ignore_errors=True)


def _taken(form: bytes, output: bytes, cassette: Path, asked: Path, skipped: list[Unusable]) -> Counts:
    with Store(cassette, record_mode="new_episodes") as store:
        importer = Importer(store, skipped.append)
        if form == b"j":
            importer.take(read_json_lines(BytesIO(output), "fuzz.jsonl"))
        elif form == b"y":
            importer.take(read_stock_yaml(BytesIO(output), "fuzz.yaml"))
        else:
            with BatchRequests(asked, "https://api.example.com/v1") as requests:
                importer.take(read_batch_output(BytesIO(output), "fuzz.jsonl", requests))
    return importer.counts


TARGETS: dict[str, Callable[[bytes, Path], None]] = {
    "line": lambda data, _folder: check_line(data),
    "folder": check_folder,
    "yaml": lambda data, _folder: check_yaml(data),
    "import": check_import,
}
