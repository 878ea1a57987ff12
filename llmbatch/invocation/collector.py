"""The garbage collector while cases run. Knows no case."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_ALLOCATIONS_BETWEEN_LOOKS = 10_000


@contextmanager
def collecting_seldom() -> Iterator[None]:
    """Let the collector leave what is loaded alone, and look at what is new less often, until the context ends.

    A run makes millions of objects that no cycle holds; looking for cycles among them took a fifth of a replay.
    A program that has frozen objects of its own, or has other thresholds, finds both as they were.
    """
    thresholds = gc.get_threshold()
    freezes = gc.get_freeze_count() == 0
    if freezes:
        gc.freeze()
    if thresholds[0]:
        gc.set_threshold(max(thresholds[0], _ALLOCATIONS_BETWEEN_LOOKS), *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        if freezes:
            gc.unfreeze()
