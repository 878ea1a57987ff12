"""Files that are on the medium once they are there, and files put whole in the place of others. Knows no cassette."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llmbatch.cassette.disk import disk_error, sync_folder
from llmbatch.errors import DiskError

_WRITE_BYTES = 1 << 20
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


class SyncedFile:
    """A new file, written in large pieces and synced at close. Raises DiskError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._handle = -1
        try:
            self._handle = os.open(path, _FLAGS, 0o644)
        except OSError as error:
            raise _unwritten(path, error) from error

    def write(self, text: bytes) -> None:
        """Add bytes."""
        self._waiting.append(text)
        self._waiting_bytes += len(text)
        self.size += len(text)
        if self._waiting_bytes >= _WRITE_BYTES:
            self._flush()

    def close(self) -> None:
        """Write what waits, sync and close; once."""
        if self._handle < 0:
            return
        try:
            self._flush()
            os.fsync(self._handle)
        except OSError as error:
            raise _unwritten(self.path, error) from error
        finally:
            os.close(self._handle)
            self._handle = -1

    def _flush(self) -> None:
        rest = memoryview(b"".join(self._waiting))
        self._waiting, self._waiting_bytes = [], 0
        try:
            while rest:
                # at the limit of a disk a write comes back short, and only the next one fails
                rest = rest[os.write(self._handle, rest) :]
        except OSError as error:
            raise _unwritten(self.path, error) from error


@contextmanager
def replacing(path: Path) -> Iterator[SyncedFile]:
    """Give a file beside, which takes the place of `path` when the block ends, and goes away when it raises.

    A killed command leaves it beside, as `.NAME.unfinished`; `remove_unfinished` takes that away. Of one process at
    a time. Raises DiskError.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritten(unfinished, error) from error
    file = SyncedFile(unfinished)
    try:
        yield file
        file.close()
        unfinished.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise _unwritten(path, error) from error
    finally:
        file.close()
        unfinished.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Take away what a killed command left in a folder. Raises OSError."""
    for left in folder.glob(".*.unfinished"):
        left.unlink(missing_ok=True)


def _unwritten(path: Path, error: OSError) -> DiskError:
    return disk_error(
        "the file could not be written",
        path,
        error,
        fix="free space on that disk, make the folder writable, and run the same command again: "
        "what was there is as it was",
    )
