"""What a cassette folder held when it was opened: which line answers which key. Writes nothing.

Bodies are never held: a scan keeps the places of lines, and a line is read again when it is wanted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmbatch.call.values import Reply
from llmbatch.cassette.index import Index, Place
from llmbatch.cassette.line import BadLineError, Decoded, decode, decode_reply, frame
from llmbatch.cassette.reader import Reader
from llmbatch.cassette.segment import (
    FAILURES,
    SEGMENT,
    Metadata,
    SegmentName,
    complete_generations_of,
    damaged,
    lines_after,
    open_for_reading,
    read_header,
    segments_of,
)
from llmbatch.errors import ConfigError


class Lines:
    """The lines of one kind (answers or failures) that count, by key."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.index = Index()
        self._reader = Reader(folder, kind)

    def reply(self, key: bytes) -> Reply | None:
        """Return the reply recorded for a key, without parsing its request. Raises CassetteDamaged."""
        place = self.index.get(key)
        if place is None:
            return None
        line = self._reader.line(place)
        try:
            return decode_reply(line)
        except BadLineError as error:
            raise self._reader.damaged(place, error) from error

    def whole(self, place: Place) -> Decoded:
        """Return all of one line. Raises CassetteDamaged."""
        line = self._reader.line(place)
        try:
            return decode(line)
        except BadLineError as error:
            raise self._reader.damaged(place, error) from error

    def read(self, place: Place) -> bytes:
        """Return the bytes of one line."""
        return self._reader.line(place)

    def close(self) -> None:
        """Close the files; a later read opens them again."""
        self._reader.close()


@dataclass(slots=True)
class Contents:
    """The lines that count in a folder, the metadata of its files, and the generation to record under.

    `prices` has the price snapshot of each segment that has one, by the segment's number.

    `has_answers` tells whether any answer is recorded at all, of whatever generation.
    """

    answers: Lines
    failures: Lines
    metadata: list[Metadata]
    prices: dict[int, Mapping[str, Any]]
    generation: int
    has_answers: bool

    def base_url(self, endpoint: str) -> str | None:
        """Return the base URL an endpoint's name was recorded with. Raises ConfigError when there are two."""
        return _only_one(
            [each.endpoints[endpoint] for each in self.metadata if endpoint in each.endpoints],
            f"the endpoint {endpoint!r}",
            "base URLs",
            f"set base_url for the endpoint {endpoint!r} in llmbatch.toml to the one that is meant",
        )

    def model_name(self, text: str) -> str | None:
        """Return the wire name that an `endpoint/alias` was recorded with. Raises ConfigError when there are two."""
        endpoint, _, alias = text.partition("/")
        return _only_one(
            [each.models[text] for each in self.metadata if text in each.models],
            f"the model {text!r}",
            "names",
            f'set models."{alias}" = {{ name = "..." }} for the endpoint {endpoint!r} in llmbatch.toml',
        )

    def close(self) -> None:
        """Close all files."""
        self.answers.close()
        self.failures.close()


def _only_one(recorded: Sequence[str], whose: str, what: str, fix: str) -> str | None:
    found = list(dict.fromkeys(recorded))
    if len(found) > 1:
        problem = f"{whose} was recorded with {len(found)} {what}, and none is configured"
        raise ConfigError(problem, recorded="\n".join(found), fix=fix)
    return found[0] if found else None


def read_contents(folder: Path, *, fresh: bool) -> Contents:
    """Scan all files of a folder; one that is missing is an empty cassette. Raises CassetteDamaged.

    Only generations that are complete count. With `fresh` only those lines count that belong to the
    generation being recorded: one that was begun and is not complete, else a new one without lines.
    """
    scan = _Scan(folder)
    for name in segments_of(folder):
        scan.add_file(name)
    last = max(scan.complete)
    if not fresh:
        return scan.contents(_COMPLETE, last)
    begun = max((number for number, shelf in scan.shelves.items() if shelf[SEGMENT].index), default=_COMPLETE)
    number = begun if begun > last else last + 1
    return scan.contents(number, number)


_COMPLETE = 0  # the shelf of all generations that may answer; generation 0 is always one of them


class _Scan:
    """The lines of each unfinished generation apart, and those of all complete ones together."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.complete = complete_generations_of(folder)
        self.metadata: list[Metadata] = []
        self.prices: dict[int, Mapping[str, Any]] = {}
        self.shelves: dict[int, dict[str, Lines]] = {}

    def contents(self, number: int, generation: int) -> Contents:
        chosen = self._shelf(number)
        has_answers = any(shelf[SEGMENT].index for shelf in self.shelves.values())
        for shelf in self.shelves.values():
            if shelf is not chosen:
                shelf[SEGMENT].close()
                shelf[FAILURES].close()
        return Contents(chosen[SEGMENT], chosen[FAILURES], self.metadata, self.prices, generation, has_answers)

    def add_file(self, name: SegmentName) -> None:
        path = self.folder / name.file
        with open_for_reading(path) as stream:
            header = read_header(path, stream)
            if header is None:
                return
            self.metadata.append(header.metadata)
            if name.kind == SEGMENT and header.metadata.prices:
                self.prices[name.number] = header.metadata.prices
            for offset, line in lines_after(path, stream, header.end):
                try:
                    key, generation = frame(line)
                except BadLineError as error:
                    raise damaged(path, offset, error) from error
                shelf = self._shelf(_COMPLETE if generation in self.complete else generation)
                lines = shelf[name.kind]
                place = Place(name.number, offset, len(line))
                if name.kind == SEGMENT:
                    lines.index.offer(key, generation, place, lines.read)
                else:
                    lines.index.put(key, generation, place)

    def _shelf(self, number: int) -> dict[str, Lines]:
        shelf = self.shelves.get(number)
        if shelf is None:
            shelf = {kind: Lines(self.folder, kind) for kind in (SEGMENT, FAILURES)}
            self.shelves[number] = shelf
        return shelf
