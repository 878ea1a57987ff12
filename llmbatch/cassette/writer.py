"""The writing side of a cassette folder: its lock, its torn tails, its two kinds of files. Knows no key."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from llmbatch.cassette.appender import Appender, cut_torn_tails
from llmbatch.cassette.index import Place
from llmbatch.cassette.lock import Lock
from llmbatch.cassette.segment import FAILURES, SEGMENT, Metadata
from llmbatch.errors import DiskError


class Writer:
    """The only writer of a folder, from the moment it is made until `close`.

    Making one makes the folder, takes its lock and cuts off what a killed writer left half-written.
    Raises CassetteLocked, CassetteDamaged and DiskError.
    """

    def __init__(self, folder: Path, metadata: Metadata, *, segment_bytes: int) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(folder, error) from error
        self._lock = Lock(folder).take()
        try:
            cut_torn_tails(folder)
        except BaseException:
            self._lock.release()
            raise
        self._files = {
            kind: Appender(folder, kind, metadata, segment_bytes=segment_bytes) for kind in (SEGMENT, FAILURES)
        }

    def append(self, kind: str, line: bytes) -> Place:
        """Write one line whole to the files of a kind and return its place. Raises DiskError."""
        return self._files[kind].append(line)

    def mark_complete(self, generation: int) -> None:
        """Make the file that says a generation is complete. Raises DiskError."""
        _close_all(self._files.values())  # the mark must not reach the disk before the answers
        path = self._folder / f"generation-{generation}.complete"
        try:
            path.touch()
        except OSError as error:
            raise _unwritable(path, error) from error

    def close(self) -> None:
        """Sync and close the files and give the lock back. Raises DiskError when a sync fails."""
        try:
            _close_all(self._files.values())
        finally:
            self._lock.release()


def _close_all(files: Iterable[Appender]) -> None:
    problem: DiskError | None = None
    for file in files:
        try:
            file.close()
        except DiskError as error:
            problem = error
    if problem is not None:
        raise problem


def _unwritable(path: Path, error: OSError) -> DiskError:
    return DiskError(
        f"the cassette cannot be written: {error.strerror or error}",
        file=str(path),
        fix="make the folder writable, or replay what is recorded with --offline",
    )
