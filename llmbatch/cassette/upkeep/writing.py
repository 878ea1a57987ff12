"""Writing shelves of lines as the files of a new cassette. Knows no order and no key."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from llmbatch.cassette.aliases import ALIASES_FILE
from llmbatch.cassette.segment import FAILURES, SEGMENT, SegmentName, header_bytes
from llmbatch.cassette.upkeep.arranging import Shelf
from llmbatch.errors import DiskError

SEGMENT_BYTES = 45_000_000
"""A file ends before the line that would make it longer; only a longer line is alone in a longer file."""

_WRITE_BYTES = 1 << 20
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


def write_cassette(
    folder: Path,
    shelves: Iterable[Shelf],
    complete: Iterable[int],
    read: Callable[[bytes], bytes],
    *,
    aliases: bytes = b"",
    segment_bytes: int = SEGMENT_BYTES,
) -> int:
    """Write the files of an empty folder, each synced, and return how many hold lines. Raises DiskError."""
    numbers = {SEGMENT: 0, FAILURES: 0}
    for shelf in shelves:
        header = header_bytes(shelf.metadata)
        file: SyncedFile | None = None
        try:
            for entry in shelf.entries:
                line = read(entry)
                if file is None or file.size + len(line) > segment_bytes:
                    if file is not None:
                        file.close()
                    numbers[shelf.kind] += 1
                    file = SyncedFile(folder / SegmentName(shelf.kind, numbers[shelf.kind]).file)
                    file.write(header)
                file.write(line)
        finally:
            if file is not None:
                file.close()
    for generation in sorted(complete):
        SyncedFile(folder / f"generation-{generation}.complete").close()
    if aliases:
        file = SyncedFile(folder / ALIASES_FILE)
        file.write(aliases)
        file.close()
    return sum(numbers.values())


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
            raise self._failed(error) from error

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
            raise self._failed(error) from error
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
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> DiskError:
        return DiskError(
            f"the file could not be written: {error.strerror or error}",
            file=str(self.path),
            fix="free space on that disk and run the same command again: what was there is as it was",
        )
