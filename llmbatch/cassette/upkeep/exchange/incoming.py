"""What readers of foreign files hand on, and how they read: in pieces, under a cap. Knows no format and no store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO, NamedTuple

from llmbatch.call.values import Reply
from llmbatch.cassette.line import RECORD_CAP
from llmbatch.errors import CassetteDamaged

BOM = b"\xef\xbb\xbf"


class Incoming(NamedTuple):
    """One interaction of a foreign file, not yet scrubbed or judged.

    `line` is where it begins in the file, from 1. The reply's header names are in lower case. `failure` (kind and
    message) is given where the file itself says that this was no answer. `draw` (repeat and ordinal) and `key`
    are None where the file does not know them.
    """

    line: int
    method: str
    url: str
    headers: Mapping[str, Sequence[str]]
    body: bytes | None
    reply: Reply | None
    failure: tuple[str, str] | None = None
    case: str | None = None
    draw: tuple[int, int] | None = None
    key: bytes | None = None


class Unusable(NamedTuple):
    """A part of a foreign file that is no interaction, and why."""

    line: int
    why: str


def refused(name: str, line: int, why: str) -> CassetteDamaged:
    """Return the error for a file that is not read on."""
    return CassetteDamaged(
        f"this file is not read on: {why}",
        place=f"{name}:{line}",
        fix="leave out what begins at that line; what stands before it has been imported and need not be again",
    )


def capped_lines(stream: BinaryIO, name: str) -> Iterator[tuple[int, bytes]]:
    """Yield each line that is not blank, with its number from 1. Raises CassetteDamaged for one beyond 64 MiB."""
    number = 0
    while line := stream.readline(RECORD_CAP + 1):
        number += 1
        if len(line) > RECORD_CAP:
            raise refused(name, number, f"a line is longer than {RECORD_CAP} bytes")
        text = (line.removeprefix(BOM) if number == 1 else line).strip()
        if text:
            yield number, text


class CappedStream:
    """A binary stream that gives at most 64 MiB for one interaction, so that no file fills the memory."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._name = name
        self._given = 0
        self.line = 1

    def next_interaction(self, line: int) -> None:
        """Begin to count anew: an interaction begins at that line."""
        self._given, self.line = 0, line

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes. Raises CassetteDamaged when the interaction is beyond the cap."""
        part = self._stream.read(size)
        self._given += len(part)
        if self._given > RECORD_CAP:
            raise refused(self._name, self.line, f"an interaction is longer than {RECORD_CAP} bytes")
        return part
