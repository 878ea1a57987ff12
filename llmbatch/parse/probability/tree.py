"""From the tokens that might have been written to the probability of each label. Pure.

The tokens of one answer are a path through the tree of all that the model might have written; beside each step
the services list where else it might have gone. Walking along the path, a branch that leaves it is
read as the labels that it may still become:

* one label: the branch counts for it, wholly. That the model then finishes what it began is the one assumption.
* several: it cannot be split, since what the model would have written there was never asked. It is `undecided`.
* none: it is `elsewhere`.

A bare word that was said, with a comma behind it, may go on as well as end: that is `undecided` too.

Tokens beyond those listed are `unlisted`. What the path itself comes to is known to its end. Several answers with
the same beginning make the tree larger: a branch that one of them has taken is walked, and no longer assumed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from llmbatch.parse.probability.spelling import Reading, Spelling, State
from llmbatch.parse.probability.tokens import Token


class Fate(Enum):
    """What is known of a branch."""

    WHOLE = "a label was written to its end"
    BEGUN = "a label was begun"
    GOING_ON = "a label was said, and what stands behind it may go on to more"
    ELSEWHERE = "something else was begun"
    UNLISTED = "the service does not say what"


class Branch(NamedTuple):
    """A part of all that might have been written: its probability, and the labels that it may become."""

    probability: float
    labels: frozenset[int]
    fate: Fate


@dataclass(frozen=True, slots=True)
class Spread:
    """How probability is spread over labels, by their places.

    `attributed` counts what was begun by one label alone, `certain` only what was written to its end, and
    `possible` all that is not ruled out: the true probability lies between these two. With `undecided`, `elsewhere`
    and `unlisted`, what is attributed sums up to 1.
    """

    attributed: tuple[float, ...]
    certain: tuple[float, ...]
    possible: tuple[float, ...]
    undecided: float
    elsewhere: float
    unlisted: float

    @property
    def missing(self) -> float:
        """The probability that is attributed to no label."""
        return min(1.0, max(0.0, 1.0 - math.fsum(self.attributed)))


def spread_over_labels(paths: Sequence[Sequence[Token]], spelling: Spelling, count: int, before: bytes = b"") -> Spread:
    """Return how probability is spread over `count` labels, given what was written before the paths.

    `before` are the bytes from where the value may begin. All paths are of answers that wrote the same tokens before.
    """
    attributed: list[list[float]] = [[] for _ in range(count)]
    certain: list[list[float]] = [[] for _ in range(count)]
    possible: list[list[float]] = [[] for _ in range(count)]
    left: dict[Fate, list[float]] = {fate: [] for fate in Fate}
    for branch in _branches(paths, 0, before, 1.0, spelling):
        for label in branch.labels:
            possible[label].append(branch.probability)
        if len(branch.labels) == 1 and branch.fate in (Fate.WHOLE, Fate.BEGUN):
            (label,) = branch.labels
            attributed[label].append(branch.probability)
            if branch.fate is Fate.WHOLE:
                certain[label].append(branch.probability)
        else:
            left[branch.fate].append(branch.probability)
    return Spread(
        _sums(attributed),
        _sums(certain),
        _sums(possible),
        math.fsum([*left[Fate.BEGUN], *left[Fate.WHOLE], *left[Fate.GOING_ON]]),
        math.fsum(left[Fate.ELSEWHERE]),
        math.fsum(left[Fate.UNLISTED]),
    )


def _sums(parts: Sequence[Sequence[float]]) -> tuple[float, ...]:
    return tuple(min(1.0, math.fsum(part)) for part in parts)


def _branches(
    paths: Sequence[Sequence[Token]], at: int, written: bytes, weight: float, spelling: Spelling
) -> Iterator[Branch]:
    """Yield the branches below what is written; together they have the probability `weight`."""
    open_labels = spelling.read(written).labels
    here = paths[0][at]
    for place, listed in enumerate((here.said, *here.others)):
        probability = weight * listed.probability
        if listed.spelled is None:
            yield Branch(probability, open_labels, Fate.UNLISTED)
            continue
        longer = written if listed.ends else written + listed.spelled
        reading = spelling.read(longer, ended=listed.ends)
        # another token of the same bytes is another token, after which the model may go on otherwise
        is_another = place > 0 and listed.spelled == here.said.spelled
        taken = [] if is_another else [path for path in paths if path[at].said.spelled == listed.spelled]
        longest = [path for path in taken if len(path) > at + 1]
        if reading.state in (State.OPEN, State.SAID) and longest and not listed.ends:
            yield from _branches(longest, at + 1, longer, probability, spelling)
        else:
            yield Branch(probability, reading.labels, _fate(reading, is_the_end=bool(taken)))
    yield Branch(weight * here.unlisted, open_labels, Fate.UNLISTED)


def _fate(reading: Reading, *, is_the_end: bool) -> Fate:
    if reading.state is State.SAID:  # an answer that ended so did not go on
        return Fate.BEGUN if is_the_end else Fate.GOING_ON
    return {State.WHOLE: Fate.WHOLE, State.OPEN: Fate.BEGUN, State.GONE: Fate.ELSEWHERE}[reading.state]
