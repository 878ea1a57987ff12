"""The Wilson interval against scipy's, and clusters against what is known of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from llmbatch.stats import Clusters, wilson_interval


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
def test_the_wilson_interval_is_scipys(counts: tuple[int, int], confidence: float) -> None:
    """An independent implementation agrees to nine digits."""
    k, n = counts
    theirs = binomtest(k, n).proportion_ci(confidence, method="wilson")

    assert wilson_interval(k, n, confidence) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_a_published_value() -> None:
    """Newcombe (1998), Statistics in Medicine 17, table I: 81 of 263 gives 0.2553 to 0.3662."""
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_nothing_counted_has_no_interval() -> None:
    """Not (0, 1): nothing was measured."""
    assert wilson_interval(0, 0) is None


@pytest.mark.parametrize(("k", "n", "confidence"), [(-1, 3, 0.95), (4, 3, 0.95), (1, 3, 1.0), (1, 3, 0.0)])
def test_what_is_no_proportion_is_refused(k: int, n: int, confidence: float) -> None:
    """A caller's mistake is not turned into a number."""
    with pytest.raises(ValueError, match="is no"):
        wilson_interval(k, n, confidence)


def test_the_repeats_of_one_sample_are_worth_one_trial_however_they_differ() -> None:
    """How samples differ from one another cannot be told from one: its repeats say nothing of the others."""
    one = Clusters(successes=2, trials=5, sum_xx=4, sum_xn=10, sum_nn=25)

    assert 1.0 == one.effective
    assert Clusters(4, 10, 8, 20, 50).effective > 1.0
