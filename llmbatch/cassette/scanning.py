"""Key, generation and place of every line of a file, in large reads. Holds no line, and knows no winner.

A file is read front to back through one buffer. Of a line only what stands at a fixed place is looked at, and its
checksum: a changed digit of a key would else be a miss, and the question be paid for again.
"""

from __future__ import annotations

import io
import zlib
from binascii import unhexlify
from collections.abc import Iterator
from pathlib import Path

from llmbatch.cassette.line import CRC_MARK, FIRST_GENERATION, PREFIX, RECORD_CAP, BadLineError, frame, payload_of
from llmbatch.cassette.segment import damaged
from llmbatch.errors import CassetteDamaged

_BUFFER_BYTES = 1 << 18
_ENDS_BYTES = 128  # the frame of a line is within its first and its last bytes

_PAYLOAD_AT, _KEY_AT, _KEY_END = 2, 10, 42
_CRC_BEFORE_END = len(CRC_MARK) + 8

Seen = tuple[bytes, int, int, int]
"""Of one line: its key, its generation, its offset in the file, and its length with the newline."""


def lines_seen(path: Path, stream: io.FileIO, offset: int) -> Iterator[Seen]:
    """Yield what is seen of every whole line from an offset on; bytes after the last newline are left out.

    Memory does not grow with a line. Raises CassetteDamaged for a line that is not framed as it should be, whose
    checksum is wrong, or that is longer than the cap.
    """
    buffer = bytearray(_BUFFER_BYTES)
    find, startswith, crc32 = buffer.find, buffer.startswith, zlib.crc32
    with memoryview(buffer) as view:
        while count := _fill(stream, buffer, offset):
            start = 0
            while (end := find(b"\n", start, count)) >= 0:
                if (
                    startswith(PREFIX, start)
                    and startswith(FIRST_GENERATION, start + _KEY_END)
                    and startswith(
                        b" # crc32=%08x" % crc32(view[start + _PAYLOAD_AT : end - _CRC_BEFORE_END]),
                        end - _CRC_BEFORE_END,
                    )
                ):
                    try:
                        yield unhexlify(buffer[start + _KEY_AT : start + _KEY_END]), 0, offset + start, end + 1 - start
                    except ValueError as error:
                        raise damaged(path, offset + start, "its key is not 32 hexadecimal digits") from error
                else:
                    yield _framed(path, bytes(buffer[start : end + 1]), offset + start)
                start = end + 1
            if start == 0:
                if count < _BUFFER_BYTES:
                    return
                length = _length_of_long_line(path, stream, buffer, offset)
                if length == 0:
                    return
                yield _framed_long(path, stream, buffer, offset, length)
                start = length
            offset += start


def _fill(stream: io.FileIO, buffer: bytearray, offset: int) -> int:
    """Read from an offset until the buffer is full or the file ends; return how many bytes were read."""
    stream.seek(offset)
    count = 0
    with memoryview(buffer) as view:
        while count < len(buffer) and (more := stream.readinto(view[count:])):  # a read may be short before the end
            count += more
    return count


def _framed(path: Path, line: bytes, offset: int) -> Seen:
    key: bytes | None = None
    try:
        key, generation = frame(line)
        payload_of(line, PREFIX[:_PAYLOAD_AT])
    except BadLineError as error:
        raise _damaged_line(path, offset, error, key) from error
    return key, generation, offset, len(line)


def _framed_long(path: Path, stream: io.FileIO, buffer: bytearray, offset: int, length: int) -> Seen:
    """See a line that is longer than the buffer by its ends, where its frame is, and by its checksum."""
    key: bytes | None = None
    ends = _ends(stream, offset, length)
    try:
        key, generation = frame(ends)
        end, checksum = offset + length - 1 - _CRC_BEFORE_END, 0
        at = offset + _PAYLOAD_AT
        while at < end and (count := min(_fill(stream, buffer, at), end - at)):
            checksum = zlib.crc32(memoryview(buffer)[:count], checksum)
            at += count
        if ends[-9:-1] != b"%08x" % checksum:
            raise BadLineError("its checksum does not match")
    except BadLineError as error:
        raise _damaged_line(path, offset, error, key) from error
    return key, generation, offset, length


def _damaged_line(path: Path, offset: int, error: BadLineError, key: bytes | None) -> CassetteDamaged:
    return damaged(path, offset, error if key is None else f"{error}; its key reads {key.hex()}")


def _length_of_long_line(path: Path, stream: io.FileIO, buffer: bytearray, offset: int) -> int:
    """Return the length of a line that is longer than the buffer, 0 for one without an end."""
    length = 0
    while length <= RECORD_CAP:
        count = _fill(stream, buffer, offset + length)
        if count == 0:
            return 0
        end = buffer.find(b"\n", 0, count)
        if end >= 0:
            length += end + 1
            break
        length += count
    if length > RECORD_CAP:
        raise damaged(path, offset, f"the line is longer than {RECORD_CAP} bytes")
    return length


def _ends(stream: io.FileIO, offset: int, length: int) -> bytes:
    """Return the first and the last bytes of a long line: all that a frame is in."""
    stream.seek(offset)
    head = stream.read(_ENDS_BYTES) or b""
    stream.seek(offset + length - _ENDS_BYTES)
    return head + (stream.read(_ENDS_BYTES) or b"")
