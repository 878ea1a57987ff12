"""Intervals and tests for what a table says. Pure arithmetic: knows no frame, row or report."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist
from typing import NamedTuple


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float] | None:
    """Return the score interval (low, high) of a proportion, or None where nothing was counted (n = 0).

    It holds its level for small n and for proportions near 0 and 1, where the textbook interval does not.
    Assumes independent trials: repeats of one sample are not, see `Clusters`. Raises ValueError unless
    0 <= successes <= n and 0 < confidence < 1. E. B. Wilson (1927), JASA 22, 209-212; recommended by Brown, Cai and
    DasGupta (2001), Statistical Science 16(2), 101-133. No continuity correction.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} is no proportion")
    return _score_interval(successes / n if n else None, n, confidence)


class Clusters(NamedTuple):
    """Trials that come in clusters, such as the repeats of a sample: sums over clusters of x successes in n trials.

    The proportion is all successes over all trials. Its interval is Wilson's with the effective number of trials in
    the place of n: as many independent trials would make it as uncertain as it is by the variance between clusters,
    that of the ratio estimator (L. Kish (1965), Survey Sampling; E. Miller (2024), arXiv 2411.00640, section 2.2).
    C. Franco, R. Little, T. Louis and E. Slud (2019), Journal of Survey Statistics and Methodology 7(3), 334-364,
    compare eight intervals so adapted and recommend Wilson's. It wants twenty clusters or more.
    """

    successes: int
    trials: int
    sum_xx: int
    sum_xn: int
    sum_nn: int

    @classmethod
    def single(cls, successes: int, trials: int) -> Clusters:
        """Return independent trials: clusters of one each."""
        return cls(successes, trials, successes, successes, trials)

    @property
    def proportion(self) -> float | None:
        """The share of successes; None without trials."""
        return self.successes / self.trials if self.trials else None

    @property
    def effective(self) -> float:
        """The effective number of trials, at most `trials`.

        Where all clusters agree within themselves it is the number of clusters, if these are of equal size; so it is
        taken to be where no variance can be told: there are only successes, or none, or there is one cluster.
        """
        x, n = self.successes, self.trials
        if n == 0:
            return 0.0
        if x in (0, n) or self.sum_nn == n * n:
            return n * n / self.sum_nn
        # of whole numbers throughout, so that no order of summing moves a digit
        variance = n * n * self.sum_xx - 2 * x * n * self.sum_xn + x * x * self.sum_nn
        return min(float(n), x * (n - x) * n * n / variance) if variance else float(n)

    def interval(self, confidence: float = 0.95) -> tuple[float, float] | None:
        """Return the interval (low, high) of the proportion; None without trials."""
        return _score_interval(self.proportion, self.effective, confidence)


def _score_interval(p: float | None, n: float, confidence: float) -> tuple[float, float] | None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} is none: it lies between 0 and 1")
    if p is None:
        return None
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low = 0.0 if p == 0 else max(0.0, centre - half)
    high = 1.0 if p == 1 else min(1.0, centre + half)
    return low, high
