"""Misses put together by equal reason, so that a thousand of them are a few lines. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from llmbatch.cassette.upkeep.looking.difference import Difference, is_elsewhere
from llmbatch.cassette.upkeep.looking.nearest import MOST_DIFFERENCES, Missed, Nearest, Relation
from llmbatch.cassette.upkeep.walk import title_of

MOST_REASONS = 12
"""More reasons than this are put together by their fields alone, whatever the lines."""


@dataclass(slots=True)
class Reason:
    """Misses with one reason. `nearest` is that of the first, None where nothing at all is recorded."""

    example: Missed
    nearest: Nearest | None
    count: int = 0
    variants: Counter[str] = field(default_factory=Counter)
    same_places: bool = True
    same_changes: bool = True

    def add(self, missed: Missed, nearest: Nearest | None) -> None:
        """Count one more."""
        self.count += 1
        self.variants[title_of(missed.case)] += 1
        if nearest is None or self.nearest is None:
            return
        ours, theirs = self.nearest.differences, nearest.differences
        self.same_places = self.same_places and [each.place for each in ours] == [each.place for each in theirs]
        self.same_changes = self.same_changes and ours == theirs

    @property
    def is_elsewhere(self) -> bool:
        """Whether the same request is recorded under another address."""
        return self.nearest is not None and is_elsewhere(self.nearest.differences)

    def words(self, most: int) -> Iterator[str]:
        """Yield what differs, at most so many lines: with the change where it is the same in all."""
        found = () if self.nearest is None else self.nearest.differences
        for each in found[:most]:
            if self.same_changes:
                yield str(each)
            elif self.same_places:
                yield f"{each.place} differs, here {each.change}"
            else:
                yield f"{each.field} differs, here {each}"
        if len(found) > most:
            more = f"{len(found) - most}{' or more' if len(found) == MOST_DIFFERENCES else ''}"
            yield f"and {more} other differences"


def reasons_of(missed: Iterable[tuple[Missed, Nearest | None]]) -> list[Reason]:
    """Return the reasons, that of most misses first. Lines of a text tell reasons apart unless that gives many."""
    pairs = list(missed)
    found = _grouped(pairs, lambda each: each.place)
    return found if len(found) <= MOST_REASONS else _grouped(pairs, lambda each: each.field)


def _grouped(pairs: list[tuple[Missed, Nearest | None]], name_of: Callable[[Difference], str]) -> list[Reason]:
    groups: dict[tuple[Relation | None, tuple[str, ...]], Reason] = {}
    for missed, nearest in pairs:
        if nearest is None:
            key: tuple[Relation | None, tuple[str, ...]] = (None, ())
        else:
            # where the sample is another one, all its texts differ, and which lines of them says nothing
            name = name_of if nearest.relation < Relation.SAME_LAST_MESSAGE else _field_of
            key = (nearest.relation, tuple(dict.fromkeys(map(name, nearest.differences))))
        groups.setdefault(key, Reason(missed, nearest)).add(missed, nearest)
    return sorted(groups.values(), key=lambda reason: -reason.count)


def _field_of(difference: Difference) -> str:
    return difference.field
