"""Appending whole lines to the files of one kind, rolled over by size. Knows no key and no index.

A line is on disk (in the system's cache, which survives the death of the process) when `append` returns;
at most a second later, and at close, it is synced to the medium.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from llmbatch.cassette.index import Place
from llmbatch.cassette.segment import (
    Metadata,
    SegmentName,
    header_bytes,
    open_for_reading,
    read_header,
    segments_of,
)
from llmbatch.errors import DiskError

_log = logging.getLogger(__name__)
_SYNC_SECONDS = 1.0
_TAIL_BYTES = 1 << 16
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


class Appender:
    """Append lines to the last file of a kind that is not full and has equal metadata, else to a new one.

    The last file is looked for when the appender is made, and with `resume` false never: other processes that
    write this folder begin theirs later, and a file has one writer. New ones are claimed by exclusive creation.
    """

    def __init__(
        self,
        folder: Path,
        kind: str,
        metadata: Metadata,
        *,
        segment_bytes: int,
        resume: bool = True,
        write: Callable[[int, bytes], int] = os.write,
        sync: Callable[[int], None] = os.fsync,
    ) -> None:
        self._folder = folder
        self._kind = kind
        self._header = header_bytes(metadata)
        self._segment_bytes = segment_bytes
        self._write, self._sync = write, sync
        self._name = self._last_fitting() if resume else None
        self._handle = -1
        self._end = 0
        self._synced_at = 0.0
        self._unsynced = False
        self._broken: DiskError | None = None

    def append(self, line: bytes) -> Place:
        """Write one line whole and return its place. Raises DiskError, and then nothing of it is there."""
        if self._broken is not None:
            raise self._broken
        if self._handle < 0:
            self._open()
        if self._end > 0 and self._end + len(line) > self._segment_bytes:
            self.close()
            self._name = None
            self._open()
        assert self._name is not None
        # one write for both: stock vcrpy cannot load a file that is a header and no interaction
        record = self._header + line if self._end == 0 else line
        self._write_whole(record)
        self._end += len(record)
        self._unsynced = True
        if time.monotonic() - self._synced_at >= _SYNC_SECONDS:
            self._flush()
        return Place(self._name.number, self._end - len(line), len(line))

    def close(self) -> None:
        """Sync and close the file. Raises DiskError when the sync fails."""
        if self._handle < 0:
            return
        try:
            if self._unsynced and self._broken is None:
                self._flush()
        finally:
            os.close(self._handle)
            self._handle, self._end = -1, 0

    def _open(self) -> None:
        try:
            if self._name is None:
                self._claim_next()
            else:
                self._handle = os.open(self._path(), _FLAGS, 0o644)
            self._end = os.fstat(self._handle).st_size
        except OSError as error:
            raise DiskError(
                f"the cassette cannot be written: {error.strerror or error}",
                file=str(self._folder if self._name is None else self._path()),
                fix="make the folder writable, or replay what is recorded with --offline",
            ) from error
        self._synced_at = time.monotonic()

    def _claim_next(self) -> None:
        """Create the file of the next free number; what another process was quicker to create is passed over."""
        number = max((name.number for name in segments_of(self._folder) if name.kind == self._kind), default=0)
        while True:
            number += 1
            name = SegmentName(self._kind, number)
            try:
                self._handle = os.open(self._folder / name.file, _FLAGS | os.O_EXCL, 0o644)
            except FileExistsError:
                continue
            self._name = name
            return

    def _last_fitting(self) -> SegmentName | None:
        """Return the file to go on with, None to begin a new one."""
        names = [name for name in segments_of(self._folder) if name.kind == self._kind]
        if not names:
            return None
        path = self._folder / names[-1].file
        if path.stat().st_size == 0:
            return names[-1]
        with open_for_reading(path) as stream:
            return names[-1] if stream.read(len(self._header)) == self._header else None

    def _path(self) -> Path:
        assert self._name is not None
        return self._folder / self._name.file

    def _write_whole(self, record: bytes) -> None:
        try:
            written = self._write(self._handle, record)
            problem = f"only {written} bytes fitted" if written != len(record) else ""
        except OSError as error:
            problem = error.strerror or str(error)
        if not problem:
            return
        failed = DiskError(
            f"an answer could not be written: {problem}",
            file=str(self._path()),
            bytes=str(len(record)),
            fix="free space on that disk and run the same command again: what was recorded stays recorded",
        )
        try:
            os.ftruncate(self._handle, self._end)
        except OSError as error:
            # the half line is cut off at the next open; until then nothing may be glued onto it
            failed.details["state"] = f"the half line could not be taken back: {error.strerror or error}"
            self._broken = failed
        raise failed

    def _flush(self) -> None:
        self._synced_at = time.monotonic()
        try:
            self._sync(self._handle)
        except OSError as error:
            # after a failed sync the system forgets which pages were dirty, and a later one lies
            self._broken = DiskError(
                f"the disk did not take what was written: {error.strerror or error}",
                file=str(self._path()),
                bytes=str(self._end),
                fix="check the disk, then `llmbatch.Cassette(folder).verify()` before going on",
            )
            raise self._broken from error
        self._unsynced = False


def cut_torn_tails(folder: Path) -> None:
    """Cut off what follows the last newline of each file, and a header without interactions.

    What a killed writer leaves; each cut is logged as a warning with file and bytes. Only the holder of
    the lock may do this. Raises DiskError.
    """
    for name in segments_of(folder):
        path = folder / name.file
        size = path.stat().st_size
        end = _end_of_whole_lines(path, size)
        if end == size:
            continue
        try:
            os.truncate(path, end)
        except OSError as error:
            raise DiskError(
                f"a half-written line cannot be cut off: {error.strerror or error}",
                file=str(path),
                bytes=str(size - end),
                fix="make the file writable, or replay what is recorded with --offline",
            ) from error
        _log.warning("%s: cut off %d bytes of a line that was not written to its end", path, size - end)


def _end_of_whole_lines(path: Path, size: int) -> int:
    with path.open("rb") as stream:
        end = size
        while end > 0:
            start = max(0, end - _TAIL_BYTES)
            stream.seek(start)
            newline = stream.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end > 0:
            stream.seek(0)
            header = read_header(path, stream)
            if header is None or header.end >= end:
                return 0
    return end
