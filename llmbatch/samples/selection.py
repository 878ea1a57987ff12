"""Which of the samples a run takes: `--limit`, and `--sample` with `--seed`. Knows only the samples' ids."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice

from llmbatch.errors import UsageError
from llmbatch.samples.source import Samples
from llmbatch.samples.values import Sample


@dataclass(frozen=True, slots=True)
class Selection:
    """The part of the samples that is wanted: `sample` drawn by `seed`, then the first `limit` of those.

    The draw takes the samples whose hash of (seed, id) is smallest, in their own order: a larger draw
    with the same seed holds the smaller one, and an inserted sample changes at most one of the drawn.
    Raises UsageError for a number below 1.
    """

    limit: int | None = None
    sample: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for flag, number in (("--limit", self.limit), ("--sample", self.sample)):
            if number is not None and number < 1:
                raise UsageError(
                    f"{flag} {number} selects nothing",
                    fix=f"give {flag} a number from 1 on, or leave it out for all samples",
                )

    def apply(self, samples: Samples) -> Samples:
        """Return the selected samples, iterable any number of times. Memory: one number for each drawn."""
        if self.sample is not None:
            samples = Samples(samples.name, _Draw(samples, self.sample, self.seed).samples)
        if self.limit is not None:
            whole, limit = samples, self.limit
            samples = Samples(samples.name, lambda: islice(iter(whole), limit))
        return samples


class _Draw:
    """The `size` samples of smallest rank. The largest rank drawn is found by one pass and kept."""

    def __init__(self, samples: Samples, size: int, seed: int) -> None:
        self._samples = samples
        self._size = size
        self._seed = seed
        self._largest: int | None = None

    def samples(self) -> Iterator[Sample]:
        if self._largest is None:
            self._largest = self._find_largest()
        for sample in self._samples:
            if _rank(self._seed, sample.id) <= self._largest:
                yield sample

    def _find_largest(self) -> int:
        heap: list[int] = []  # negated, so that the heap's top is the largest rank kept
        for sample in self._samples:
            rank = -_rank(self._seed, sample.id)
            if len(heap) < self._size:
                heapq.heappush(heap, rank)
            elif rank > heap[0]:
                heapq.heapreplace(heap, rank)
        return -heap[0] if heap else 0


def _rank(seed: int, sample_id: str) -> int:
    digest = blake2b(f"{seed}\0{sample_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")
