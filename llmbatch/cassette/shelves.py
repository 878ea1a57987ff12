"""The files of a folder sorted onto shelves: the lines of each unfinished generation, and those of all complete ones.

Files are scanned once, and later only what was added to them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmbatch.call.key import KEY_VERSION
from llmbatch.cassette.index import LARGEST_OFFSET
from llmbatch.cassette.lookup import Lines
from llmbatch.cassette.scanning import lines_seen
from llmbatch.cassette.segment import (
    FAILURES,
    SEGMENT,
    Metadata,
    SegmentName,
    complete_generations_of,
    damaged,
    open_for_reading,
    read_header,
    segments_of,
)

_log = logging.getLogger(__name__)

COMPLETE = 0
"""The shelf of all generations that may answer; generation 0 is always one of them."""


class Shelves:
    """Lines by generation; once one shelf is chosen, those of the others are passed over.

    `ends` tells how far each file was read. `metadata` and `prices` (by the number of a segment) are those of all
    files. A torn end, and a header that is not whole, are left for the next time.
    """

    def __init__(self, folder: Path) -> None:
        self.complete = complete_generations_of(folder)
        self.metadata: list[Metadata] = []
        self.prices: dict[int, Mapping[str, Any]] = {}
        self.ends: dict[SegmentName, int] = {}
        self._folder = folder
        self._shelves: dict[int, dict[str, Lines]] = {}
        self._older: set[SegmentName] = set()
        self._chosen: int | None = None

    def generations_with_answers(self) -> list[int]:
        """Return the shelves that hold any answer."""
        return [number for number, shelf in self._shelves.items() if shelf[SEGMENT].index]

    def choose(self, number: int) -> dict[str, Lines]:
        """Return one shelf, by kind, and clear the others."""
        chosen = self._shelf(number)
        for shelf in self._shelves.values():
            if shelf is not chosen:
                for lines in shelf.values():
                    lines.close()
        self._shelves, self._chosen = {number: chosen}, number
        return chosen

    def close(self) -> None:
        """Close the files of all shelves."""
        for shelf in self._shelves.values():
            for lines in shelf.values():
                lines.close()

    def read_on(self) -> None:
        """Scan what is new since the last time. Raises CassetteDamaged."""
        older = sum(self._read_file(name) for name in segments_of(self._folder))
        if older:
            _log.warning(
                "%s: %d lines have keys of an older llmbatch, which are computed anew at each opening; "
                "`llmbatch cassette merge` rewrites them",
                self._folder,
                older,
            )

    def _read_file(self, name: SegmentName) -> int:
        """Scan what is new of a file, and return how many keys had to be computed anew."""
        path = self._folder / name.file
        start = self.ends.get(name)
        if start is None:
            with open_for_reading(path) as stream:
                header = read_header(path, stream)
            if header is None:
                return 0
            self._note(name, header.metadata)
            start = header.end
        size = path.stat().st_size
        if not start <= size <= LARGEST_OFFSET:
            raise damaged(path, size, f"the file ends before {start}" if size < start else "the file is too large")
        self.ends[name] = start
        return self._scan(path, name) if start < size else 0

    def _note(self, name: SegmentName, metadata: Metadata) -> None:
        self.metadata.append(metadata)
        if name.kind == SEGMENT and metadata.prices:
            self.prices[name.number] = metadata.prices
        if metadata.key_version < KEY_VERSION:
            self._older.add(name)

    def _scan(self, path: Path, name: SegmentName) -> int:
        kind, number = name
        is_older, of_last, computed = name in self._older, -1, 0
        lines: Lines | None = None
        end = self.ends[name]
        with path.open("rb", buffering=0) as stream:
            for key, generation, offset, length in lines_seen(path, stream, end):
                end = offset + length
                if generation != of_last:
                    lines, of_last = self._lines(kind, generation), generation
                if lines is None:
                    continue
                place, found_by = (number, offset, length), key
                if is_older:
                    lines.older.add(number)
                    found_by, computed = lines.whole(place).call.key, computed + 1
                # of an answer the rule decides, of a failure the last line counts
                lines.index.offer(found_by, generation, place, lines.read if kind == SEGMENT else None)
        self.ends[name] = end
        return computed

    def _lines(self, kind: str, generation: int) -> Lines | None:
        number = COMPLETE if generation in self.complete else generation
        return self._shelf(number)[kind] if self._chosen in (None, number) else None

    def _shelf(self, number: int) -> dict[str, Lines]:
        shelf = self._shelves.get(number)
        if shelf is None:
            shelf = {kind: Lines(self._folder, kind) for kind in (SEGMENT, FAILURES)}
            self._shelves[number] = shelf
        return shelf
