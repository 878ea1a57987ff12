"""A stall is said once it has lasted, again when it has lasted twice as long, and by the cases that wait longest."""

from __future__ import annotations

from llmbatch.engine.stalls import LEAST_SECONDS, MOST_NAMED, Stalls, Waiting, longest_waiting, stall_text


def said_at(finished: list[int], *, late_after: float | None = None) -> list[int]:
    """Return the seconds at which something was said, when the count was looked at once a second."""
    stalls = Stalls()
    looked = [stalls.seconds(count, float(now), late_after=late_after) for now, count in enumerate(finished)]
    return [now for now, seconds in enumerate(looked) if seconds is not None]


def test_a_run_that_moves_says_nothing() -> None:
    """Something finishes within every half minute."""
    assert said_at([now // 29 for now in range(300)]) == []


def test_a_run_that_stands_says_so_ever_more_seldom() -> None:
    """After half a minute, then each time the silence has doubled."""
    assert said_at([5] * 300) == [30, 60, 120, 240]


def test_what_finishes_begins_the_count_anew() -> None:
    """One answer, and the next silence has its own half minute."""
    assert said_at([0] * 40 + [1] * 40) == [30, 70]


def test_a_slow_service_is_given_its_time() -> None:
    """Where late answers take 40 s, half a minute without one is usual."""
    assert said_at([0] * 130, late_after=40.0) == [120]
    assert said_at([0] * 31, late_after=1.0) == [int(LEAST_SECONDS)]


def test_the_report_counts_all_and_names_the_first() -> None:
    """Who waits longest comes first, whatever order they are given in."""
    waiting = [Waiting(f"classify s{number}", "service", 40.0 + number) for number in range(7)]
    waiting.append(Waiting("classify s9", "back-off", 1.0))

    text = stall_text(44.6, waiting)

    assert text.startswith("nothing has finished for 45 s; waiting: 1 for back-off, 7 for service: ")
    assert "classify s6 (service, 46 s), classify s5" in text
    assert text.endswith(", and 3 more")
    assert [f"classify s{number}" for number in (6, 5, 4, 3, 2)] == [each.case for each in longest_waiting(waiting)]
    assert len(longest_waiting(waiting)) == MOST_NAMED
