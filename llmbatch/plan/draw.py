"""A few cases of each variant, drawn by the hash of their samples' ids: what a pilot runs. Pure."""

from __future__ import annotations

import heapq
from hashlib import blake2b

from llmbatch.plan.cases import Case, Plan
from llmbatch.plan.narrow import narrowed


def drawn(plan: Plan, number: int, seed: int = 0) -> Plan:
    """Return the plan of the cases that `some_cases` draws."""
    return narrowed(plan, {case.id for case in some_cases(plan, number, seed)})


def some_cases(plan: Plan, number: int, seed: int = 0, *, repeats: bool = False) -> list[Case]:
    """Return `number` cases of each variant, of the same samples in all, in plan order; fewer where there are fewer.

    A larger draw with the same seed holds the smaller one. First repeats only, or of all `repeats` alike: those that
    are recorded are often the first. Goes through the plan once.
    """
    heaps: dict[str, list[tuple[int, int, Case]]] = {}
    for case in plan:
        if case.repeat and not repeats:
            continue
        heap = heaps.setdefault(case.task.title(case.variant), [])
        # negated, so that the heap's top is the largest rank kept; no two cases have one index
        entry = (-_rank(seed, case.sample.id, case.repeat), case.index, case)
        if len(heap) < number:
            heapq.heappush(heap, entry)
        elif entry > heap[0]:
            heapq.heapreplace(heap, entry)
    return sorted((case for heap in heaps.values() for _, _, case in heap), key=lambda case: case.index)


def _rank(seed: int, sample_id: str, repeat: int) -> int:
    name = f"{sample_id}\0{repeat}" if repeat else sample_id
    digest = blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")
