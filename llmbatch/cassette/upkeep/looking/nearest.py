"""Which recorded request is nearest to one that is not recorded. Reads a folder once or twice; knows no plan.

Bounded: however much is recorded, a miss is compared field by field with a handful of requests, which cheap
fingerprints have picked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import orjson

from llmbatch.call.values import Call, Request
from llmbatch.cassette.case import PROBE
from llmbatch.cassette.segment import SEGMENT
from llmbatch.cassette.upkeep.looking.compare import differences
from llmbatch.cassette.upkeep.looking.difference import Difference
from llmbatch.cassette.upkeep.walk import RecordedLine, decoded, lines_of, title_of

MOST_COMPARED = 10
"""Requests that one miss is compared with on the same ground."""
MOST_DIFFERENCES = 50
_MOST_TITLES = 1000
_REPEAT = re.compile(r"#r\d+$")


class Relation(IntEnum):
    """On what ground a recorded request is near, the nearest first."""

    UNFINISHED = 0
    SAME_CASE = 1
    SAME_BODY = 2
    SAME_MESSAGES = 3
    SAME_SAMPLE = 4
    SAME_LAST_MESSAGE = 5
    SAME_VARIANT = 6
    SAME_TASK = 7
    ANY = 8

    @property
    def words(self) -> str:
        """What is near, for a person."""
        return _WORDS[self]


_WORDS = {
    Relation.UNFINISHED: "the same call, in a generation that was not recorded to its end",
    Relation.SAME_CASE: "the same case",
    Relation.SAME_BODY: "a request with the same body",
    Relation.SAME_MESSAGES: "a request with the same messages",
    Relation.SAME_SAMPLE: "the same sample in another variant",
    Relation.SAME_LAST_MESSAGE: "a request with the same last message",
    Relation.SAME_VARIANT: "another sample of the same variant",
    Relation.SAME_TASK: "another sample of another variant",
    Relation.ANY: "a request of another task",
}


class Missed(NamedTuple):
    """A call that no line answers, and the case that wanted it."""

    call: Call
    case: str | None


class Nearest(NamedTuple):
    """The recorded call that is nearest to a missed one, why it was picked, and what differs."""

    relation: Relation
    key: bytes
    case: str | None
    differences: tuple[Difference, ...]


def nearest_of(folder: Path, missed: Sequence[Missed]) -> list[Nearest | None]:
    """Return the nearest recorded call of each; None where nothing is recorded. Raises CassetteDamaged.

    The same case first, then what shares most of what was asked. Memory grows with `missed`, not with the folder.
    """
    searches = [_Search(each) for each in missed]
    _look_by_name(folder, searches)
    rest = [search for search in searches if search.best is None]
    if rest:
        _look_by_content(folder, rest)
    return [search.best for search in searches]


@dataclass(slots=True)
class _Search:
    """One missed call on its way to the nearest recorded one."""

    missed: Missed
    best: Nearest | None = None
    distance: tuple[int, int, int] | None = None
    compared: dict[Relation, int] = field(default_factory=dict)

    def wants(self, relation: Relation) -> bool:
        """Whether another request on this ground could still be nearer."""
        if self.best is not None and (self.best.relation < relation or not self.best.differences):
            return False
        return self.compared.get(relation, 0) < MOST_COMPARED

    def offer(self, relation: Relation, call: Call, case: str | None) -> None:
        """Compare with a recorded call and keep it if it is nearer."""
        self.compared[relation] = self.compared.get(relation, 0) + 1
        found = tuple(islice(differences(call, self.missed.call), MOST_DIFFERENCES))
        distance = (relation, len(found), sum(each.size for each in found))
        if self.distance is None or distance < self.distance:
            self.best, self.distance = Nearest(relation, call.key, case, found), distance


class _Wanted:
    """Searches by what they look for; those that want no more are dropped, so that the work stays bounded."""

    def __init__(self, relation: Relation) -> None:
        self._relation = relation
        self._searches: dict[str | bytes, list[_Search]] = {}

    def __bool__(self) -> bool:
        return bool(self._searches)

    def __contains__(self, name: str | bytes | None) -> bool:
        return name in self._searches

    def add(self, name: str | bytes | None, search: _Search) -> None:
        if name is not None:
            self._searches.setdefault(name, []).append(search)

    def offer(self, name: str | bytes | None, call: Call, case: str | None) -> None:
        if name is None or name not in self._searches:
            return
        for search in self._searches[name]:
            search.offer(self._relation, call, case)
        left = [search for search in self._searches[name] if search.wants(self._relation)]
        if left:
            self._searches[name] = left
        else:
            del self._searches[name]


def _look_by_name(folder: Path, searches: Iterable[_Search]) -> None:
    """Find the same key, which then does not count, and the same case, whichever repeat."""
    by_key, by_case = _Wanted(Relation.UNFINISHED), _Wanted(Relation.SAME_CASE)
    for search in searches:
        by_key.add(search.missed.call.key.hex().encode(), search)
        by_case.add(_without_repeat(search.missed.case), search)
    for line in lines_of(folder, SEGMENT):
        case = line.case
        name = _without_repeat(case)
        if line.key in by_key or name in by_case:
            call = decoded(folder, line).call
            by_key.offer(line.key, call, case)
            by_case.offer(name, call, case)


def _look_by_content(folder: Path, searches: Sequence[_Search]) -> None:
    grounds = {relation: _Wanted(relation) for relation in _BY_CONTENT}
    for search in searches:
        for relation, name in _prints_of(search.missed.call.request, search.missed.case):
            grounds[relation].add(name, search)
    examples: dict[str, tuple[RecordedLine, Call]] = {}
    for line in lines_of(folder, SEGMENT):
        case = line.case
        title = title_of(case)
        if title.startswith(PROBE):  # asked in words of our own, as no task asks
            continue
        is_example = title not in examples and len(examples) < _MOST_TITLES
        if not is_example and not any(grounds.values()):
            continue
        call = decoded(folder, line).call
        if is_example:
            examples[title] = (line, call)
        for relation, name in _prints_of(call.request, case):
            grounds[relation].offer(name, call, case)
    for search in searches:
        if search.best is None:
            _look_at_examples(search, examples)


def _look_at_examples(search: _Search, examples: dict[str, tuple[RecordedLine, Call]]) -> None:
    """Compare with one recorded request of each variant: of the same one, else of the same task, else of any."""
    title = title_of(search.missed.case)
    task = _task_of(title)
    grounds: list[tuple[Relation, Callable[[str], bool]]] = [
        (Relation.SAME_VARIANT, lambda other: other == title),
        (Relation.SAME_TASK, lambda other: _task_of(other) == task),
        (Relation.ANY, lambda other: True),
    ]
    for relation, fits in grounds:
        for line, call in islice((held for name, held in examples.items() if fits(name)), MOST_COMPARED):
            search.offer(relation, call, line.case)
        if search.best is not None:
            return


_BY_CONTENT = (Relation.SAME_BODY, Relation.SAME_MESSAGES, Relation.SAME_SAMPLE, Relation.SAME_LAST_MESSAGE)


def _prints_of(request: Request, case: str | None) -> Iterator[tuple[Relation, str | bytes]]:
    """Yield a fingerprint for each ground on which two requests may be near; equal ones are compared closely."""
    title, separator, sample = (_without_repeat(case) or "").partition("::")
    if separator:
        yield Relation.SAME_SAMPLE, f"{_task_of(title)}::{sample}"
    body = request.body or b""
    try:
        document = orjson.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        if body:
            yield Relation.SAME_BODY, _hashed(body)
        return
    yield Relation.SAME_BODY, _hashed(orjson.dumps(dict(sorted(document.items()))))
    messages = document.get("messages")
    if isinstance(messages, list) and messages:
        yield Relation.SAME_MESSAGES, _hashed(orjson.dumps(messages))
        yield Relation.SAME_LAST_MESSAGE, _hashed(orjson.dumps(messages[-1]))


def _hashed(text: bytes) -> bytes:
    return blake2b(text, digest_size=12).digest()


def _task_of(title: str) -> str:
    return title.partition("[")[0]


def _without_repeat(case: str | None) -> str | None:
    return None if case is None else _REPEAT.sub("", case)
