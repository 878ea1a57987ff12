"""The lines of any number of cassettes, checked and found again by entry: what merge, split and scrub begin with.

An entry is 40 bytes that sort by key, then by generation (answers) or instant (failures); bodies are never
held, so a million lines are some 90 MB here. Sources are only read, and without their lock: what a file held when
it was reached is taken, as a prefix of whole lines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from struct import Struct
from typing import NamedTuple, Protocol

from llmbatch.call.key import IGNORED, KEY_VERSION
from llmbatch.cassette.index import Place
from llmbatch.cassette.line import RECORD_CAP, BadLineError, Decoded, decode, encode, payload_of
from llmbatch.cassette.lock import LOCK_FILE
from llmbatch.cassette.reader import Reader
from llmbatch.cassette.segment import (
    FAILURES,
    SEGMENT,
    Metadata,
    SegmentName,
    complete_generations_of,
    lines_after,
    open_for_reading,
    read_header,
    segments_of,
)
from llmbatch.cassette.stored import DUPLICATE, cut
from llmbatch.cassette.verify import checked, key_of
from llmbatch.errors import CassetteDamaged

_ENTRY = Struct(">16sQIQI")  # key; generation or instant; file, with the flag; offset; length
RANK = slice(0, 24)
"""The part of an entry that sorts it: equal where only the lines themselves tell two apart."""

_SET_ASIDE = 1 << 31
_LARGEST_GENERATION = 10**9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Rewriting(Protocol):
    """What becomes of a line, and of a file's metadata, on the way: the same each time it is asked."""

    def line(self, found: Decoded) -> Decoded:
        """Return the values to write."""

    def metadata(self, metadata: Metadata) -> Metadata:
        """Return the metadata to write."""

    def aliases(self, payload: bytes) -> None:
        """Look at the aliases to write. Raises UsageError where they cannot stay as they are."""

    def gathered(self, before: Decoded, after: Decoded) -> None:
        """Take note of a line; called once for each."""


class _File(NamedTuple):
    reader: Reader
    path: Path
    number: int
    metadata: Metadata
    group: bytes
    rewritten: Callable[[Decoded], Decoded] | None


@dataclass(slots=True)
class Gathered:
    """Entries of answers and of failures, unsorted; `read` gives an entry's line, as it is to be written.

    `notes` say what was not taken from a source, and `generations` which a source has lines of.
    """

    rewriting: Rewriting | None = None
    answers: list[bytes] = field(default_factory=list)
    failures: list[bytes] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    generations: dict[Path, set[int]] = field(default_factory=dict)
    complete: dict[Path, set[int]] = field(default_factory=dict)
    _files: list[_File] = field(default_factory=list)
    _readers: list[Reader] = field(default_factory=list)

    def add(self, folder: Path) -> None:
        """Check every line of a cassette and take its entries. Raises CassetteDamaged with file and offset."""
        if (folder / LOCK_FILE).exists():
            self.notes.append(f"{folder} is being written, or its writer was killed: what it holds now is taken")
        self.generations[folder] = set()
        readers = {kind: Reader(folder, kind) for kind in (SEGMENT, FAILURES)}
        self._readers += readers.values()
        for name in segments_of(folder):
            self._add_file(folder, name, readers[name.kind])
        self.complete[folder] = complete_generations_of(folder)  # last: a mark never precedes its lines

    def read(self, entry: bytes) -> bytes:
        """Return the line of an entry, checked once more. Raises CassetteDamaged when it has changed meanwhile."""
        file, place, set_aside = self._unpacked(entry)
        line = file.reader.line(place)
        try:
            payload_of(line, b"- ")
            if file.rewritten is None and not set_aside:
                return line
            found = decode(line)
        except BadLineError as error:
            raise _damaged(file.path, place.offset, error) from error
        if file.rewritten is not None:
            found = file.rewritten(found)
        return _as_duplicate(found) if set_aside else line_of(found)

    def metadata(self, entry: bytes) -> Metadata:
        """Return the metadata of the file that an entry's line is in."""
        return self._unpacked(entry)[0].metadata

    def group(self, entry: bytes) -> bytes:
        """Return bytes that are equal where the metadata are, and sort groups of lines."""
        return self._unpacked(entry)[0].group

    def where(self, entry: bytes) -> str:
        """Return file and offset of an entry's line."""
        file, place, _ = self._unpacked(entry)
        return f"{file.path} offset {place.offset}"

    def close(self) -> None:
        """Close all files."""
        for reader in self._readers:
            reader.close()

    def _add_file(self, folder: Path, name: SegmentName, reader: Reader) -> None:
        path = folder / name.file
        with open_for_reading(path) as stream:
            header = read_header(path, stream)
            end = 0
            if header is not None:
                end = header.end
                self._files.append(self._file(path, name, reader, header.metadata))
                for offset, line in lines_after(path, stream, header.end):
                    end = offset + len(line)
                    self._add_line(folder, name.kind, header.metadata.key_version, offset, line)
            if left := len(stream.read(RECORD_CAP)) or path.stat().st_size - end:
                self.notes.append(f"{path}: the last {left} bytes are a line not written to its end, and left out")

    def _file(self, path: Path, name: SegmentName, reader: Reader, metadata: Metadata) -> _File:
        rewritten = None if self.rewriting is None else self.rewriting.line
        if metadata.key_version > KEY_VERSION:
            raise CassetteDamaged(
                f"its keys have version {metadata.key_version}, and this llmbatch knows version {KEY_VERSION}",
                file=str(path),
                fix="use a newer llmbatch",
            )
        if metadata.key_version < KEY_VERSION:
            metadata = replace(metadata, key_version=KEY_VERSION, ignore=IGNORED)
            rewritten = rewritten or with_present_key
        if self.rewriting is not None:
            metadata = self.rewriting.metadata(metadata)
        return _File(reader, path, name.number, metadata, metadata.payload(), rewritten)

    def _add_line(self, folder: Path, kind: str, key_version: int, offset: int, line: bytes) -> None:
        file = self._files[-1]
        try:
            found = checked(line, kind, key_version)
            if not 0 <= found.generation < _LARGEST_GENERATION:
                raise BadLineError(f"its generation is {found.generation}")
        except BadLineError as error:
            raise _damaged(file.path, offset, error) from error
        if file.rewritten is not None:
            before, found = found, file.rewritten(found)
            if self.rewriting is not None:
                self.rewriting.gathered(before, found)
        self.generations[folder].add(found.generation)
        rank = found.generation if kind == SEGMENT else _instant(found.recorded_at)
        entry = _ENTRY.pack(found.call.key, rank, len(self._files) - 1, offset, len(line))
        (self.answers if kind == SEGMENT else self.failures).append(entry)

    def _unpacked(self, entry: bytes) -> tuple[_File, Place, bool]:
        _, _, number, offset, length = _ENTRY.unpack(entry)
        file = self._files[number & ~_SET_ASIDE]
        return file, Place(file.number, offset, length), bool(number & _SET_ASIDE)


def set_aside(entry: bytes, found: Decoded) -> bytes:
    """Return the entry of an answer that does not win, as that of a failure of the kind `duplicate`."""
    key, _, number, offset, length = _ENTRY.unpack(entry)
    return _ENTRY.pack(key, _instant(found.recorded_at), number | _SET_ASIDE, offset, length)


def with_present_key(found: Decoded) -> Decoded:
    """Return a line's values under the key that its request has now."""
    return found._replace(call=replace(found.call, key=key_of(found.call)))


def line_of(found: Decoded) -> bytes:
    """Return the line of these values."""
    failure = None if found.kind is None else (found.kind, found.message or "")
    generation, case, recorded_at = found.generation, found.case, found.recorded_at
    call, reply = found.call, found.reply
    return encode(call, reply, generation=generation, case=case, failure=failure, recorded_at=recorded_at)


def _as_duplicate(found: Decoded) -> bytes:
    kind, message = DUPLICATE
    line = line_of(found._replace(kind=kind, message=message))
    if len(line) > RECORD_CAP and found.reply is not None:  # the two members more are too many
        shorter = replace(found.reply, body=cut(found.reply.body))
        line = line_of(found._replace(kind=kind, message=message, reply=shorter))
    return line


def _instant(recorded_at: str) -> int:
    """Return microseconds since 1970; 0 where none was recorded."""
    try:
        instant = datetime.fromisoformat(recorded_at)
        since = (instant if instant.tzinfo else instant.replace(tzinfo=UTC)) - _EPOCH
    except (ValueError, TypeError, OverflowError):
        return 0
    return max(0, since // timedelta(microseconds=1))


def _damaged(path: Path, offset: int, why: BadLineError) -> CassetteDamaged:
    return CassetteDamaged(
        str(why),
        file=str(path),
        offset=str(offset),
        fix=f"restore the file, or set the line aside: llmbatch cassette verify --repair {path.parent}",
    )
