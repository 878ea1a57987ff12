"""Appending whole lines to the files of one kind, rolled over by size. Knows no key and no index."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from llmbatch.cassette.disk import disk_error, lost_by_the_disk, sync_folder
from llmbatch.cassette.index import Place
from llmbatch.cassette.segment import Metadata, SegmentName, header_bytes, open_for_reading, segments_of
from llmbatch.errors import DiskError

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


class Appender:
    """Append lines to the last file of a kind that is not full and has equal metadata, else to a new one.

    The last file is looked for when the appender is made, and with `resume` false never: other processes that
    write this folder begin theirs later, and a file has one writer. New ones are claimed by exclusive creation.

    A line is in the system's cache, which survives the death of the process, when `append` returns. With
    `sync_each` it is on the medium too; else `sync` puts it there, called from any thread, and so does `close`.
    """

    def __init__(
        self,
        folder: Path,
        kind: str,
        metadata: Metadata,
        *,
        segment_bytes: int,
        resume: bool = True,
        sync_each: bool = False,
    ) -> None:
        self._folder = folder
        self._kind = kind
        self._header = header_bytes(metadata)
        self._segment_bytes = segment_bytes
        self._sync_each = sync_each
        self._last = self._last_of_kind() if resume else None
        self._name = self._last_fitting()
        self._handle = -1
        self._end = 0
        self._name_synced = False
        self._unsynced = False
        self._syncing = threading.Lock()  # the handle stays open while it is held
        self._told = False
        self.broken: DiskError | None = None
        """Why nothing can be appended any more; None while it can."""

    def change_metadata(self, metadata: Metadata) -> None:
        """Write what follows under other metadata: to the last file if it has them, else to a new one."""
        header = header_bytes(metadata)
        if header != self._header:
            self.close()
            self._header = header
            self._name = self._last_fitting()

    def append(self, line: bytes) -> Place:
        """Write one line whole and return its place. Raises DiskError: the line does not count then."""
        self._raise_if_broken()
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
        if self._sync_each:
            self.sync()
            self._raise_if_broken()
        return Place(self._name.number, self._end - len(line), len(line))

    def sync(self) -> None:
        """Put what was written on the medium, and the file's name where it is new. A failure is kept in `broken`."""
        with self._syncing:
            if self._handle < 0 or not self._unsynced or self.broken is not None:
                return
            self._unsynced = False  # before the sync: a line written during it is for the next
            try:
                os.fsync(self._handle)
                if not self._name_synced:
                    sync_folder(self._folder)
                    self._name_synced = True
            except OSError as error:
                # final: after a failed sync the system forgets which pages were dirty, and a later one lies
                self.broken = lost_by_the_disk(self._path(), error, bytes=str(self._end))

    def close(self) -> None:
        """Sync and close the file. Raises DiskError for a sync that failed, unless `append` has."""
        if self._handle < 0:
            return
        self.sync()
        with self._syncing:
            handle, self._handle, self._end = self._handle, -1, 0
            try:
                os.close(handle)
            except OSError as error:  # a network file system says so late
                self.broken = self.broken or lost_by_the_disk(self._path(), error)
        if not self._told:
            self._raise_if_broken()

    def _raise_if_broken(self) -> None:
        if self.broken is not None:
            self._told = True
            raise self.broken

    def _open(self) -> None:
        try:
            handle = self._claim_next() if self._name is None else os.open(self._path(), _FLAGS, 0o644)
            try:
                self._end = os.fstat(handle).st_size
            except OSError:
                os.close(handle)
                raise
        except OSError as error:
            path = self._folder if self._name is None else self._path()
            raise disk_error("the cassette cannot be written", path, error) from error
        self._handle, self._name_synced = handle, False  # whoever made it may have been killed before its sync

    def _claim_next(self) -> int:
        """Create the file of the next free number; what another process was quicker to create is passed over."""
        number = max((name.number for name in segments_of(self._folder) if name.kind == self._kind), default=0)
        while True:
            number += 1
            name = SegmentName(self._kind, number)
            try:
                handle = os.open(self._folder / name.file, _FLAGS | os.O_EXCL, 0o644)
            except FileExistsError:
                continue
            self._last = self._name = name
            return handle

    def _last_of_kind(self) -> SegmentName | None:
        return max((name for name in segments_of(self._folder) if name.kind == self._kind), default=None)

    def _last_fitting(self) -> SegmentName | None:
        """Return the file to go on with, None to begin a new one."""
        last = self._last
        if last is None:
            return None
        path = self._folder / last.file
        if path.stat().st_size == 0:
            return last
        with open_for_reading(path) as stream:
            return last if stream.read(len(self._header)) == self._header else None

    def _path(self) -> Path:
        assert self._name is not None
        return self._folder / self._name.file

    def _write_whole(self, record: bytes) -> None:
        problem: OSError | str | None = None
        try:
            written = os.write(self._handle, record)
            if written != len(record):  # at the limit the system takes a part and calls it no error
                problem = f"only {written} bytes fitted"
        except OSError as error:
            problem = error
        if problem is None:
            return
        failed = disk_error("an answer could not be written", self._path(), problem, bytes=str(len(record)))
        try:
            os.ftruncate(self._handle, self._end)
        except OSError as error:
            # the half line is cut off at the next open; until then nothing may be glued onto it
            failed.details["state"] = f"the half line could not be taken back: {error.strerror or error}"
            self._told, self.broken = True, failed
        raise failed
