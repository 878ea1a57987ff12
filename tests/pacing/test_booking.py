"""Booked starts never come closer together than the limit allows, whatever stalls, and nothing is saved up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmbatch.pacing.booking import AHEAD_SECONDS, LATE_SECONDS, TOKENS_MADE_UP_SECONDS, Line, Rates, book

STEPS = st.lists(st.tuples(st.floats(0, 3), st.integers(1, 40)), min_size=1, max_size=40)
"""What a run does: lets so many seconds go by, then wants so many starts."""


def most_in_any_window(starts: list[float], seconds: float) -> int:
    return max((sum(start - seconds < other <= start for other in starts) for start in starts), default=0)


@given(STEPS, st.integers(1, 120_000))
def test_no_second_and_no_minute_has_more_starts_than_the_limit(steps: list[tuple[float, int]], rpm: int) -> None:
    """The rate times the window, and the one that stands at its edge."""
    rates, line, now, starts = Rates(rpm=rpm), Line(), 50.0, list[float]()
    for seconds, wanted in steps:
        now += seconds
        starts += book([(line, rates)], [0.0] * wanted, now).starts

    assert starts == sorted(starts)
    for window in (1.0, 60.0):
        assert most_in_any_window(starts, window) <= rpm / 60 * window + 1 + 1e-6


@given(STEPS, st.integers(1, 600), st.integers(1, 600))
def test_two_limits_hold_at_once(steps: list[tuple[float, int]], of_endpoint: int, of_model: int) -> None:
    """Each model has its own line beside the endpoint's: neither is overdrawn."""
    endpoint, lines = (Line(), Rates(rpm=of_endpoint)), [Line(), Line()]
    own, now, starts = Rates(rpm=of_model), 50.0, list[list[float]]([[], []])
    for number, (seconds, wanted) in enumerate(steps):
        now += seconds
        model = number % 2
        starts[model] += book([endpoint, (lines[model], own)], [0.0] * wanted, now).starts

    for each, rpm in ((starts[0] + starts[1], of_endpoint), (starts[0], of_model), (starts[1], of_model)):
        late = AHEAD_SECONDS + Rates(rpm=rpm).late_seconds
        assert most_in_any_window(each, 60.0) <= rpm / 60 * (60 + late) + 1 + 1e-6


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(1, 500)), min_size=1, max_size=60), st.integers(100, 100_000))
def test_no_minute_has_more_tokens_than_the_limit_and_one_request(steps: list[tuple[float, int]], tpm: int) -> None:
    """The last request of a window may reach beyond it, and 5 % may be made up for."""
    rates, line, now, started = Rates(tpm=tpm), Line(), 50.0, list[tuple[float, int]]()
    for seconds, tokens in steps:
        now += seconds
        started += [(start, tokens) for start in book([(line, rates)], [float(tokens)], now).starts]

    largest = max(tokens for _, tokens in steps)
    for end, _ in started:
        taken = sum(tokens for start, tokens in started if end - 60 < start <= end)
        assert taken <= tpm * (60 + TOKENS_MADE_UP_SECONDS + 2 * AHEAD_SECONDS) / 60 + largest + 1e-6


def test_starts_are_booked_a_little_ahead_and_the_rest_is_told_when_to_come_back() -> None:
    """6,000 a minute is one in ten milliseconds."""
    line, rates = Line(), Rates(rpm=6000)
    booking = book([(line, rates)], [0.0] * 100, 50.0)

    assert pytest.approx([49.98 + 0.01 * number for number in range(len(booking.starts))]) == booking.starts
    assert len(booking.starts) in {6, 7}
    assert booking.free_at > 50.0 + AHEAD_SECONDS


def test_a_stall_earns_no_burst() -> None:
    """After a minute of nothing there is as much as after twenty milliseconds of it."""
    line, rates = Line(), Rates(rpm=6000)
    book([(line, rates)], [0.0], 50.0)
    after = book([(line, rates)], [0.0] * 100, 110.0).starts

    assert 3 >= len([start for start in after if start <= 110.0])


def test_a_request_of_more_tokens_than_a_minute_has_goes_alone_and_is_paid_off() -> None:
    """It must not wait for ever; the next one waits for it."""
    line, rates = Line(), Rates(tpm=1000)

    assert 1 == len(book([(line, rates)], [5000.0, 10.0], 50.0).starts)
    assert [] == book([(line, rates)], [10.0], 340.0).starts
    assert 1 == len(book([(line, rates)], [10.0], 348.0).starts)


def test_tokens_that_were_not_used_are_given_back() -> None:
    """An estimate of the longest possible answer holds nobody back for longer than the answer takes."""
    line, rates = Line(), Rates(tpm=6000)
    book([(line, rates)], [6000.0], 50.0)
    line.add_tokens(rates, -5900.0, 51.0)

    assert 1 == len(book([(line, rates)], [100.0], 51.0).starts)


def test_a_slow_limit_bears_a_late_loop() -> None:
    """At five a minute, a start that is missed by a second is used all the same: the next is twelve away."""
    assert 1.2 == pytest.approx(Rates(rpm=5).late_seconds)
    assert LATE_SECONDS == Rates(rpm=600).late_seconds
