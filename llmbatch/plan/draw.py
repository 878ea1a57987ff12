"""A few cases of each variant, drawn by the hash of their samples' ids: what a pilot runs. Pure."""

from __future__ import annotations

import heapq
from hashlib import blake2b

from llmbatch.plan.cases import Plan
from llmbatch.plan.narrow import narrowed


def drawn(plan: Plan, number: int, seed: int = 0) -> Plan:
    """Return the plan of `number` cases of each variant, of the same samples in all; fewer where there are fewer.

    A larger draw with the same seed holds the smaller one. Only first repeats are drawn.
    """
    heaps: dict[str, list[tuple[int, str]]] = {}
    for case in plan:
        if case.repeat:
            continue
        heap = heaps.setdefault(case.task.title(case.variant), [])
        entry = (-_rank(seed, case.sample.id), case.id)  # negated, so that the heap's top is the largest rank kept
        if len(heap) < number:
            heapq.heappush(heap, entry)
        elif entry > heap[0]:
            heapq.heapreplace(heap, entry)
    return narrowed(plan, {case_id for heap in heaps.values() for _, case_id in heap})


def _rank(seed: int, sample_id: str) -> int:
    digest = blake2b(f"{seed}\0{sample_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")
