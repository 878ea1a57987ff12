"""The writing side of a cassette folder: its lock, its torn tails, its two kinds of files. Knows no key."""

from __future__ import annotations

import os
from pathlib import Path

from llmbatch.cassette.appender import Appender
from llmbatch.cassette.disk import disk_error, make_empty_file, make_folder, sync_folder
from llmbatch.cassette.index import Place
from llmbatch.cassette.joining import JoinedLock
from llmbatch.cassette.lock import Lock
from llmbatch.cassette.segment import FAILURES, SEGMENT, Metadata, segments_of
from llmbatch.cassette.syncing import BackgroundSync
from llmbatch.cassette.tails import cut_torn_tails
from llmbatch.config import Durability
from llmbatch.errors import DiskError

SYNC_SECONDS = 1.0
"""How long a line may be in the system's cache alone, under the durability `process`."""


class Writer:
    """The writer of a run, from the moment it is made until `close`; no other run writes the folder meanwhile.

    Making one makes the folder, takes its lock and cuts off what a killed writer left half-written. With `joining`,
    the token of a lock that is held, it is a worker of that run: it takes no lock, and all its files are new. What
    `append` wrote survives the death of the process and, a second later, a power cut; with the durability `power` it
    survives a power cut from the start. Raises CassetteLocked, CassetteDamaged and DiskError.
    """

    def __init__(
        self,
        folder: Path,
        metadata: Metadata,
        *,
        segment_bytes: int,
        durability: Durability = "process",
        joining: str | None = None,
    ) -> None:
        self._folder = folder
        self.unwritten = 0
        """How many lines of answers the disk did not take."""
        self._first_error: DiskError | None = None
        each = durability == "power"
        self._lock: Lock | JoinedLock
        if joining is not None:
            self._lock = JoinedLock(folder, joining)
        else:
            make_folder(folder)
            self._lock = Lock(folder).take()
        try:
            if joining is None:
                cut_torn_tails(folder)
                if each:
                    _sync_files(folder)
            self._files = {
                kind: Appender(
                    folder, kind, metadata, segment_bytes=segment_bytes, resume=joining is None, sync_each=each
                )
                for kind in (SEGMENT, FAILURES)
            }
            self._syncing = None if each else BackgroundSync(self._sync, seconds=SYNC_SECONDS)
        except BaseException:
            self._lock.release()
            raise

    @property
    def token(self) -> str | None:
        """What a worker of this run joins with; None of a worker, which has no workers of its own."""
        return self._lock.token if isinstance(self._lock, Lock) else None

    @property
    def disk_error(self) -> DiskError | None:
        """What the disk first failed with, be it in the background; None while all is well."""
        if self._first_error is not None:
            return self._first_error
        for file in self._files.values():  # asked before each call: no generator
            if file.broken is not None:
                return file.broken
        return None

    def change_metadata(self, metadata: Metadata) -> None:
        """Write what follows under other metadata. Raises DiskError."""
        for file in self._files.values():
            file.change_metadata(metadata)

    def append(self, kind: str, line: bytes) -> Place:
        """Write one line whole to the files of a kind and return its place. Raises DiskError.

        Of a worker whose run has ended CassetteLocked, and nothing is written.
        """
        if isinstance(self._lock, JoinedLock):
            self._lock.check()
        try:
            place = self._files[kind].append(line)
        except DiskError as error:
            self._first_error = self._first_error or error
            self.unwritten += kind == SEGMENT
            raise
        if self._syncing is not None:
            self._syncing.wrote()
        return place

    def mark_complete(self, generation: int) -> None:
        """Make the file that says a generation is complete. Raises DiskError, also for an earlier one."""
        self._close_files()  # the mark must not reach the disk before the answers
        if self.disk_error is not None:
            raise self.disk_error
        try:
            make_empty_file(self._folder / f"generation-{generation}.complete")
        except DiskError as error:
            self._first_error = self._first_error or error
            raise

    def close(self) -> None:
        """Sync and close the files and give the lock back. Raises DiskError when a sync has failed."""
        try:
            if self._syncing is not None:
                self._syncing.end()
            self._close_files()
        finally:
            self._lock.release()  # also when the wait for the sync is interrupted: this process may go on for days

    def _sync(self) -> None:
        for file in self._files.values():
            file.sync()

    def _close_files(self) -> None:
        problem: DiskError | None = None
        for file in self._files.values():
            try:
                file.close()
            except DiskError as error:
                problem = error
        if problem is not None:
            raise problem


def _sync_files(folder: Path) -> None:
    """Put on the medium what killed writers left in the system's cache: it will be served as answers."""
    path = folder
    try:
        for name in segments_of(folder):
            path = folder / name.file
            handle = os.open(path, os.O_RDWR)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        sync_folder(folder)
    except OSError as error:
        raise disk_error("the cassette cannot be synced", path, error) from error
