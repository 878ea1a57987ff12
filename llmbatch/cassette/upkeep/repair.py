"""Making a damaged cassette sound: what is no whole, true line is moved into a quarantine file, never deleted.

A file is rewritten beside itself, synced and renamed, after what leaves it is on the disk; files without a
problem are not touched. A kill in between leaves each file as it was or as it should be, and at worst a piece in
two quarantine files.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple

from llmbatch.cassette.aliases import Aliases
from llmbatch.cassette.disk import disk_error, sync_folder
from llmbatch.cassette.line import RECORD_CAP, BadLineError
from llmbatch.cassette.lock import Lock
from llmbatch.cassette.segment import (
    Metadata,
    SegmentName,
    header_bytes,
    open_for_reading,
    read_header,
    segments_of,
)
from llmbatch.cassette.upkeep.synced import SyncedFile, remove_unfinished, replacing
from llmbatch.cassette.verify import checked, problems_of_file
from llmbatch.errors import CassetteDamaged

_RECORD = re.compile(rb'- \{"key":"')
_METADATA = re.compile(rb"metadata: \{[^\n]*?\} # crc32=[0-9a-f]{8}")
_HEAD_BYTES = 1 << 20
_QUARANTINE = re.compile(r"quarantine-(\d{1,9})\.txt")


@dataclass(frozen=True, slots=True)
class Repaired:
    """One file that was rewritten: how many pieces and bytes went to `quarantine`, how many lines stay.

    `header_lost` says that its metadata could not be trusted: endpoints and prices of its lines are not known.
    """

    file: Path
    quarantine: Path
    pieces: int
    quarantined_bytes: int
    kept: int
    header_lost: bool


def repair(folder: Path) -> Iterator[Repaired]:
    """Repair each file with a problem, and yield what was done to it. Holds the cassette's lock.

    Raises CassetteLocked, DiskError, and CassetteDamaged for what cannot be told from a file of somebody else's:
    vcrpy's block style, a newer format, a link that leads out of the folder.
    """
    lock = Lock(folder).take()
    try:
        names = segments_of(folder)
        remove_unfinished(folder)
        for name in names:
            if _has_problem(folder / name.file, name):
                yield _repair_file(folder, name)
    except OSError as error:
        raise disk_error(
            "the cassette cannot be repaired",
            folder,
            error,
            fix="free space there and make the folder writable, then run the same command again",
        ) from error
    finally:
        lock.release()


def _has_problem(path: Path, name: SegmentName) -> bool:
    try:
        return next(problems_of_file(path, name, Aliases()), None) is not None
    except CassetteDamaged:
        return True


def _repair_file(folder: Path, name: SegmentName) -> Repaired:
    path = folder / name.file
    with (
        closing(_Quarantine(folder, name.file)) as quarantine,
        replacing(path) as sound,
        open_for_reading(path) as stream,
    ):
        header = _header(path, stream)
        stream.seek(header.end)
        kept = 0
        for offset, piece, is_line in _pieces(stream, header, name.kind):
            if not is_line:
                quarantine.add(offset, piece)
                continue
            if not kept:
                sound.write(header_bytes(header.metadata))
            sound.write(piece)
            kept += 1
        if not kept and header.end:  # stock vcrpy cannot load a file that is a header and no interaction
            stream.seek(0)
            quarantine.add(0, stream.read(header.end))
        quarantine.close()
        sync_folder(folder)  # before the file goes, what leaves it is on the medium
    return Repaired(path, quarantine.path, quarantine.pieces, quarantine.bytes, kept, header.is_lost and kept > 0)


class _Head(NamedTuple):
    """The metadata of a file, and where its lines may begin: at 0 where the header is damaged."""

    metadata: Metadata
    end: int
    is_lost: bool = False


def _header(path: Path, stream: BinaryIO) -> _Head:
    try:
        found = read_header(path, stream)
    except CassetteDamaged as error:
        if "offset" not in error.details:  # a file of another style or format: nothing of it is damaged
            raise
        found = None
    if found is not None:
        return _Head(found.metadata, found.end)
    stream.seek(0)
    for match in _METADATA.finditer(stream.read(_HEAD_BYTES)):
        lines = io.BytesIO(b"version: 1\n%b\ninteractions:\n" % match[0])
        with suppress(CassetteDamaged):
            again = read_header(path, lines)
            if again is not None:
                return _Head(again.metadata, 0)
    return _Head(Metadata(), 0, is_lost=True)


def _pieces(stream: BinaryIO, header: _Head, kind: str) -> Iterator[tuple[int, bytes, bool]]:
    """Yield offset, bytes and whether they are a true line, of all that follows; a huge line in pieces."""
    offset = header.end
    while line := stream.readline(RECORD_CAP + 1):
        if _is_line(line, kind, header):
            yield offset, line, True
        else:
            # a line break that was changed glues a sound line to another
            marks = [match.start() for match in _RECORD.finditer(line)]
            cuts = sorted({0, *marks, len(line)})
            for start, end in pairwise(cuts):
                piece = line[start:end]
                ended = piece[:-1] + b"\n"
                is_line = start in marks and _is_line(ended, kind, header)
                yield offset + start, ended if is_line else piece, is_line
                if is_line and piece != ended:
                    yield offset + end - 1, piece[-1:], False
        offset += len(line)


def _is_line(line: bytes, kind: str, header: _Head) -> bool:
    try:
        checked(line, kind, header.metadata.key_version)
    except BadLineError:
        return False
    return True


class _Quarantine:
    """A new file of the folder, made with its first piece: a line that says where it was, then its bytes."""

    def __init__(self, folder: Path, source: str) -> None:
        numbers = [int(match[1]) for path in folder.iterdir() if (match := _QUARANTINE.fullmatch(path.name))]
        self.path = folder / f"quarantine-{max(numbers, default=0) + 1:05d}.txt"
        self.pieces = self.bytes = 0
        self._source = source
        self._file: SyncedFile | None = None

    def add(self, offset: int, piece: bytes) -> None:
        """Write one piece."""
        if self._file is None:
            self._file = SyncedFile(self.path)
        self._file.write(b"# %b offset %d, %d bytes:\n" % (self._source.encode(), offset, len(piece)))
        self._file.write(piece)
        self._file.write(b"" if piece.endswith(b"\n") else b"\n")
        self.pieces += 1
        self.bytes += len(piece)

    def close(self) -> None:
        """Sync and close."""
        if self._file is not None:
            self._file.close()
