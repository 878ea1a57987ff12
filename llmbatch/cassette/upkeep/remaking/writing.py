"""Writing shelves of lines as the files of a new cassette. Knows no order and no key."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from llmbatch.cassette.aliases import ALIASES_FILE
from llmbatch.cassette.segment import FAILURES, SEGMENT, SegmentName, header_bytes
from llmbatch.cassette.upkeep.remaking.arranging import Shelf
from llmbatch.cassette.upkeep.synced import SyncedFile

SEGMENT_BYTES = 45_000_000
"""A file ends before the line that would make it longer; only a longer line is alone in a longer file."""


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
