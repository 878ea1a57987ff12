"""The writing side of a cassette folder: its lock, its torn tails, its two kinds of files. Knows no key."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from llmbatch.cassette.appender import Appender, cut_torn_tails
from llmbatch.cassette.index import Place
from llmbatch.cassette.joining import JoinedLock
from llmbatch.cassette.lock import Lock
from llmbatch.cassette.segment import FAILURES, SEGMENT, Metadata
from llmbatch.errors import DiskError


class Writer:
    """The writer of a run, from the moment it is made until `close`; no other run writes the folder meanwhile.

    Making one makes the folder, takes its lock and cuts off what a killed writer left half-written. With `joining`,
    the token of a lock that is held, it is a worker of that run: it takes no lock, and all its files are new.
    Raises CassetteLocked, CassetteDamaged and DiskError.
    """

    def __init__(self, folder: Path, metadata: Metadata, *, segment_bytes: int, joining: str | None = None) -> None:
        self._folder = folder
        self._lock: Lock | JoinedLock
        if joining is not None:
            self._lock = JoinedLock(folder, joining)
            self._files = self._appenders(metadata, segment_bytes, resume=False)
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(folder, error) from error
        self._lock = Lock(folder).take()
        try:
            cut_torn_tails(folder)
            self._files = self._appenders(metadata, segment_bytes, resume=True)
        except BaseException:
            self._lock.release()
            raise

    def _appenders(self, metadata: Metadata, segment_bytes: int, *, resume: bool) -> dict[str, Appender]:
        return {
            kind: Appender(self._folder, kind, metadata, segment_bytes=segment_bytes, resume=resume)
            for kind in (SEGMENT, FAILURES)
        }

    def append(self, kind: str, line: bytes) -> Place:
        """Write one line whole to the files of a kind and return its place. Raises DiskError.

        Of a worker whose run has ended CassetteLocked, and nothing is written.
        """
        if isinstance(self._lock, JoinedLock):
            self._lock.check()
        return self._files[kind].append(line)

    @property
    def token(self) -> str | None:
        """What a worker of this run joins with; None of a worker, which has no workers of its own."""
        return self._lock.token if isinstance(self._lock, Lock) else None

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
