"""The canonical order of gathered lines, and which of several answers to one call stays one.

What comes out is a function of the set of lines, not of the order, the files or the folders they came in:

* of the answers to one key in one generation the smallest line stays (the rule of `cassette.index`); each other
  line becomes a failure of the kind `duplicate`, for it was paid for. A line that is there twice is kept once.
* answers stand in groups of equal metadata, the groups in the order of their bytes, and there by key and generation.
* failures too, there by key and instant. A key's last failure counts, so one that follows another of a group
  further down opens a second round of groups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cmp_to_key
from itertools import groupby
from operator import itemgetter

from llmbatch.cassette.line import decode
from llmbatch.cassette.segment import FAILURES, SEGMENT, Metadata
from llmbatch.cassette.upkeep.addressee import model_of
from llmbatch.cassette.upkeep.remaking.gathering import RANK, Gathered, set_aside


@dataclass(frozen=True, slots=True)
class Shelf:
    """Lines of one kind and equal metadata, in order: what one file holds, or several as they fill up."""

    kind: str
    metadata: Metadata
    entries: list[bytes]


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two answers to one call of one generation that differ in status or body, and which file has each."""

    key: str
    case: str | None
    model: str | None
    kept: str
    set_aside: str


@dataclass(slots=True)
class Arranged:
    """Shelves in the order of the files; how many lines were there again, became duplicates, and conflicted."""

    shelves: list[Shelf]
    repeated: int = 0
    set_aside: int = 0
    conflicts: int = 0


def arrange(lines: Gathered, on_conflict: Callable[[Conflict], None]) -> Arranged:
    """Sort what was gathered, in memory that does not grow with bodies. Raises CassetteDamaged."""
    arranged = Arranged([])
    answers = list(_winners(lines, arranged, on_conflict))
    lines.answers.clear()
    failures = list(_distinct(lines, lines.failures, arranged))
    lines.failures.clear()
    arranged.shelves += _shelves(lines, SEGMENT, [answers])
    arranged.shelves += _shelves(lines, FAILURES, _rounds(lines, failures))
    return arranged


def _winners(lines: Gathered, arranged: Arranged, on_conflict: Callable[[Conflict], None]) -> Iterator[bytes]:
    """Yield the entries of the answers that stay; the others are added to the failures."""
    winner = b""
    for entry in _distinct(lines, lines.answers, arranged):
        if entry[RANK] != winner[RANK]:
            winner = entry
            yield entry
            continue
        kept, loser = decode(lines.read(winner)), decode(lines.read(entry))
        lines.failures.append(set_aside(entry, loser))
        arranged.set_aside += 1
        assert kept.reply is not None
        assert loser.reply is not None
        if (kept.reply.status, kept.reply.body) != (loser.reply.status, loser.reply.body):
            arranged.conflicts += 1
            call = loser.call
            places = lines.where(winner), lines.where(entry)
            on_conflict(Conflict(call.key.hex(), loser.case, model_of(call.request.body), *places))


def _distinct(lines: Gathered, entries: list[bytes], arranged: Arranged) -> Iterator[bytes]:
    """Sort the entries and yield one of each line, by rank and then by its bytes."""
    entries.sort()

    def compared(one: bytes, other: bytes) -> int:  # read again each time: a key may have more lines than memory holds
        mine, its = (lines.read(one), lines.group(one)), (lines.read(other), lines.group(other))
        return (mine > its) - (mine < its)

    for _, cluster in groupby(entries, itemgetter(RANK)):
        ranked = list(cluster)
        if len(ranked) > 1:
            ranked.sort(key=cmp_to_key(compared))
        line = b""
        for place, entry in enumerate(ranked):
            before, line = line, lines.read(entry) if len(ranked) > 1 else b""
            if place and line == before:
                arranged.repeated += 1
            else:
                yield entry


def _rounds(lines: Gathered, failures: list[bytes]) -> list[list[bytes]]:
    """Part failures so that within each round a key's lines are in the order of the groups."""
    rounds: list[list[bytes]] = []
    key, number, group = b"", 0, b""
    for entry in failures:
        its_group = lines.group(entry)
        if entry[:16] != key:
            key, number = entry[:16], 0
        elif its_group < group:
            number += 1
        group = its_group
        if number == len(rounds):
            rounds.append([])
        rounds[number].append(entry)
    return rounds


def _shelves(lines: Gathered, kind: str, rounds: list[list[bytes]]) -> Iterator[Shelf]:
    for entries in rounds:
        by_group: dict[bytes, list[bytes]] = {}
        for entry in entries:
            by_group.setdefault(lines.group(entry), []).append(entry)
        for group in sorted(by_group):
            found = by_group[group]
            yield Shelf(kind, lines.metadata(found[0]), found)
