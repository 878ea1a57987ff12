"""Who listens to a watched replay: for `why` the calls that miss, for `prune` every call that is asked."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from llmbatch.call.values import Call, RecordedFailure
from llmbatch.cassette.upkeep.digests import Digests
from llmbatch.cassette.upkeep.looking.nearest import Missed
from llmbatch.cassette.upkeep.walk import title_of

MOST_BYTES = 200_000_000
"""Bytes of bodies held: misses beyond them are counted, and not looked into."""

MOST_SEEN = 100_000
"""Misses that are told apart; beyond them one that is asked again counts again."""


@dataclass(slots=True)
class Misses:
    """The calls without an answer, each once; of every variant the first `most` are held, the rest counted.

    `failed` counts those that were tried before, by class, with the last message of the first of each.
    """

    most: int
    answered: int = 0
    missed_calls: int = 0
    held: list[Missed] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    failed_examples: dict[str, str] = field(default_factory=dict)
    _seen: set[tuple[bytes, str | None]] = field(default_factory=set)
    _by_title: Counter[str] = field(default_factory=Counter)
    _bytes: int = 0

    @property
    def not_held(self) -> int:
        """How many misses are counted only."""
        return self.missed_calls - len(self.held)

    def found(self, key: bytes) -> None:
        """Count an answer."""
        self.answered += 1

    def probe_found(self, key: bytes) -> None:
        """Hear of what no case asks."""

    def probe_missed(self, call: Call, wire: bytes) -> None:
        """Hear of what no case asks."""

    def missed(self, call: Call, case: str | None, failure: RecordedFailure | None) -> None:
        """Hold or count a miss; a task that is run again asks the same once more, which counts once."""
        name = (call.key, case)
        if name in self._seen:
            return
        if len(self._seen) < MOST_SEEN:
            self._seen.add(name)
        if failure is not None:
            self.failed[failure.kind] += 1
            self.failed_examples.setdefault(failure.kind, f"{case or 'no case'}: {failure.message}")
            return
        self.missed_calls += 1
        title, size = title_of(case), len(call.request.body or b"")
        if self._by_title[title] < self.most and self._bytes + size <= MOST_BYTES:
            self._by_title[title] += 1
            self._bytes += size
            self.held.append(Missed(call, case))


@dataclass(slots=True)
class Asked:
    """The keys of all calls, answered or not: 8 bytes each."""

    keys: Digests = field(default_factory=Digests)
    missed_calls: int = 0
    first_miss: str = ""

    def found(self, key: bytes) -> None:
        """Note a key."""
        self.keys.add(key)

    def probe_found(self, key: bytes) -> None:
        """Note a key: what is known of a model decides how it is asked."""
        self.keys.add(key)

    def probe_missed(self, call: Call, wire: bytes) -> None:
        """Hear of a probe that is not recorded: what is asked then follows from that."""

    def missed(self, call: Call, case: str | None, failure: RecordedFailure | None) -> None:
        """Note a key, and that what would have been asked after it is not known."""
        self.keys.add(call.key)
        self.missed_calls += 1
        self.first_miss = self.first_miss or f"{case or 'no case'}: {call.request.method} {call.request.url}"
