"""What must hold for any bytes given to the readers of foreign files. One function a reader, no fuzzer.

A target raises where a promise is broken. Only errors of ours may come out of a reader, and each target
says what else holds. A checksum keeps a fuzzer out, so the targets put the right one behind what they are given:
then only the checks behind it stand between a stranger's bytes and a crash.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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
from llmbatch.cassette.verify import digest_of
from llmbatch.errors import AnswerError, CassetteDamaged

_HEADER = header_bytes(Metadata())


def check_line(data: bytes) -> None:
    """A line whose checksum holds, and one that is taken as it is: BadLineError, or values that stay the same."""
    for line in (data, with_crc(b"- ", data)):
        for read in (frame, decode_reply, lambda text: payload_of(text, b"- ")):
            try:
                read(line)  # type: ignore[operator]
            except BadLineError:
                pass
        try:
            found = decode(line)
        except BadLineError:
            continue
        _check_decoded(found, line)


def _check_decoded(found: Decoded, line: bytes) -> None:
    digest_of(found.call.request)
    failure = None if found.kind is None or found.message is None else (found.kind, found.message)
    again = encode(found.call, found.reply, generation=found.generation, case=found.case, failure=failure)
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


TARGETS: dict[str, Callable[[bytes, Path], None]] = {
    "line": lambda data, _folder: check_line(data),
    "folder": check_folder,
}
