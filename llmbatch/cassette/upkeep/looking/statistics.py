"""What a cassette holds, in numbers: one pass over its lines, one line in memory. Prints nothing.

What a body means is not known here: the reader of tokens and costs is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from llmbatch.call.failure import FailureKind
from llmbatch.call.values import Reply
from llmbatch.cassette.line import Decoded
from llmbatch.cassette.segment import FAILURES, SEGMENT, complete_generations_of, segments_of
from llmbatch.cassette.store import Store
from llmbatch.cassette.upkeep.addressee import endpoint_of, model_of
from llmbatch.cassette.upkeep.walk import RecordedLine, decoded, lines_of, title_of

MOST_NAMES = 10_000
"""Models, variants and the like are counted by name up to here; the rest together."""
OTHERS = "(others)"


class Spent(NamedTuple):
    """What one reply used; `cost_usd` is None where no price was recorded with it."""

    tokens_in: int
    tokens_out: int
    cost_usd: float | None


ReadSpent = Callable[[Reply, Mapping[str, Any] | None], Spent | None]
"""Reads tokens, and the cost by the price snapshot of the reply's model, of a reply; None where it does not say."""


class ModelName(NamedTuple):
    """Who was asked, and who said to have answered; "-" where the body names none."""

    endpoint: str
    asked: str
    returned: str


@dataclass(slots=True)
class Used:
    """Interactions and what they used. `unpriced` are those whose cost is not known."""

    interactions: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0

    def add(self, spent: Spent | None) -> None:
        """Count one interaction."""
        self.interactions += 1
        if spent is not None:
            self.tokens_in += spent.tokens_in
            self.tokens_out += spent.tokens_out
            self.cost_usd += spent.cost_usd or 0.0
        self.unpriced += spent is None or spent.cost_usd is None


@dataclass(slots=True)
class Statistics:
    """Counts of the lines on disk. `answering` is how many keys have an answer; the other lines were outdone.

    `first` and `last` are when the earliest and the latest answer was recorded (ISO 8601), "" without any.
    `failures` counts attempts by class, `duplicates` among them are second answers. `unserved` is what all those used
    that say so: they were paid for as well.
    """

    bytes: int = 0
    files: dict[str, int] = field(default_factory=dict)
    answering: int = 0
    lines: int = 0
    first: str = ""
    last: str = ""
    complete_generations: tuple[int, ...] = (0,)
    generations: dict[int, int] = field(default_factory=dict)
    statuses: dict[int, int] = field(default_factory=dict)
    endpoints: dict[str, int] = field(default_factory=dict)
    models: dict[ModelName, Used] = field(default_factory=dict)
    variants: dict[str, Used] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    unserved: Used = field(default_factory=Used)

    @property
    def total(self) -> Used:
        """All that was used."""
        used = Used()
        for each in self.models.values():
            used.interactions += each.interactions
            used.tokens_in += each.tokens_in
            used.tokens_out += each.tokens_out
            used.cost_usd += each.cost_usd
            used.unpriced += each.unpriced
        return used

    @property
    def duplicates(self) -> int:
        """Second answers to calls that had one."""
        return self.failures.get(FailureKind.DUPLICATE.value, 0)


def statistics_of(folder: Path, read_spent: ReadSpent) -> Statistics:
    """Read every line once and return the counts. Raises CassetteDamaged."""
    found = Statistics(complete_generations=tuple(sorted(complete_generations_of(folder))))
    for name in segments_of(folder):
        found.files[name.kind] = found.files.get(name.kind, 0) + 1
        found.bytes += (folder / name.file).stat().st_size
    with Store(folder) as store:
        found.answering = len(store)
    for line in lines_of(folder, FAILURES):
        kind = str(line.head().get("kind"))
        _count(found.failures, kind, OTHERS)
        whole = decoded(folder, line)
        spent = None if whole.reply is None else read_spent(whole.reply, _prices_of(line, whole))
        if spent is not None:
            found.unserved.add(spent)
    for line in lines_of(folder, SEGMENT):
        _add(found, line, decoded(folder, line), read_spent)
    return found


def _add(found: Statistics, line: RecordedLine, whole: Decoded, read_spent: ReadSpent) -> None:
    request, reply = whole.call.request, whole.reply
    assert reply is not None  # a line of the answers has one
    found.lines += 1
    found.first = min(found.first or reply.recorded_at, reply.recorded_at)
    found.last = max(found.last, reply.recorded_at)
    _count(found.generations, whole.generation, -1)
    _count(found.statuses, reply.status, -1)
    name, base_url = endpoint_of(request.url, line.metadata)
    endpoint = f"{name} {base_url}" if name else base_url
    _count(found.endpoints, endpoint, OTHERS)
    asked = model_of(request.body) or "-"
    spent = read_spent(reply, _prices_of(line, whole))
    model = ModelName(name or base_url, asked, model_of(reply.body) or "-")
    _used(found.models, model, ModelName(OTHERS, OTHERS, OTHERS)).add(spent)
    _used(found.variants, title_of(whole.case), OTHERS).add(spent)


def _prices_of(line: RecordedLine, whole: Decoded) -> Mapping[str, Any] | None:
    """Return the prices recorded with a line, of its model by its own name or by its alias."""
    endpoint, _ = endpoint_of(whole.call.request.url, line.metadata)
    asked, prices = model_of(whole.call.request.body), line.metadata.prices
    aliases = (text for text, name in line.metadata.models.items() if name == asked)
    names = [f"{endpoint}/{asked}", *(text for text in aliases if text.startswith(f"{endpoint}/"))]
    return next((prices[name] for name in names if name in prices), None)


K = TypeVar("K")


def _count(counts: dict[K, int], name: K, others: K) -> None:
    name = name if name in counts or len(counts) < MOST_NAMES else others
    counts[name] = counts.get(name, 0) + 1


def _used(counts: dict[K, Used], name: K, others: K) -> Used:
    name = name if name in counts or len(counts) < MOST_NAMES else others
    return counts.setdefault(name, Used())
