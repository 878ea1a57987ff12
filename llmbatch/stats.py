"""Intervals and tests for what a table says. Pure arithmetic: knows no frame, row or report."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float] | None:
    """Return the score interval (low, high) of a proportion, or None where nothing was counted (n = 0).

    It holds its level for small n and for proportions near 0 and 1, where the textbook interval does not.
    Assumes independent trials: repeats of one sample are not. Raises ValueError unless 0 <= successes <= n
    and 0 < confidence < 1. E. B. Wilson (1927), JASA 22, 209-212; recommended by Brown, Cai and DasGupta
    (2001), Statistical Science 16(2), 101-133. No continuity correction.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} is no proportion")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} is none: it lies between 0 and 1")
    if n == 0:
        return None
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high
