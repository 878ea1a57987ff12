"""What a cassette folder holds: which line answers which key, and what the files say of themselves. Writes nothing.

Bodies are never held: a scan keeps the places of lines, and a line is read again when it is wanted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmbatch.cassette.index import Position
from llmbatch.cassette.lookup import Lines
from llmbatch.cassette.segment import FAILURES, SEGMENT, Metadata, SegmentName
from llmbatch.cassette.shelves import COMPLETE, Shelves
from llmbatch.errors import ConfigError


@dataclass(slots=True)
class Contents:
    """The lines that count in a folder, the metadata of its files, and the generation to record under.

    `prices` has the price snapshot of each segment that has one, by the segment's number.

    `unfinished` is a generation of mode `all` that was begun, is newer than all complete ones, and is not complete.

    `has_answers` tells whether any answer was recorded at all when the folder was opened, of whatever generation.
    """

    answers: Lines
    failures: Lines
    metadata: list[Metadata]
    prices: dict[int, Mapping[str, Any]]
    generation: int
    has_answers: bool
    unfinished: int | None
    _shelves: Shelves

    @property
    def last_prices(self) -> Mapping[str, Any]:
        """The price snapshot of the newest segment that has one."""
        return self.prices[max(self.prices)] if self.prices else {}

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

    def begin_generation(self) -> None:
        """Record under a new generation from now on, whose lines answer as those of complete ones do."""
        self.generation += 1
        self._shelves.complete.add(self.generation)

    def refresh(self) -> None:
        """Take in what others added to the files since they were scanned. Raises CassetteDamaged."""
        self._shelves.read_on()

    def note_appended(self, kind: str, key: bytes, place: Position) -> None:
        """Take in a line that this process has written, so that `refresh` need not read it."""
        lines = self.answers if kind == SEGMENT else self.failures
        lines.put(key, self.generation, place)
        number, offset, length = place
        name = SegmentName(kind, number)
        if name in self._shelves.ends:  # else its header is still to be read
            self._shelves.ends[name] = offset + length

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
    shelves = Shelves(folder)
    try:
        shelves.read_on()
    except BaseException:
        shelves.close()
        raise
    begun = shelves.generations_with_answers()
    last, newest = max(shelves.complete), max(begun, default=COMPLETE)
    generation = last if not fresh else newest if newest > last else last + 1
    chosen = shelves.choose(generation if fresh else COMPLETE)
    unfinished = newest if newest > last else None
    return Contents(
        chosen[SEGMENT],
        chosen[FAILURES],
        shelves.metadata,
        shelves.prices,
        generation,
        bool(begun),
        unfinished,
        shelves,
    )
