"""Progress: counters that cost nothing, and displays that read them."""

from __future__ import annotations

import io

from rich.console import Console

from llmbatch.report.display import open_progress
from llmbatch.report.live import LiveProgress
from llmbatch.report.progress import (
    NoProgress,
    PlainProgress,
    count_text,
    counters_text,
    seconds_text,
)
from llmbatch.runner.counters import Counters


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_plain_progress_prints_when_ten_seconds_or_ten_percent_have_gone_by() -> None:
    """At the start, then at most one line a second, and at the end."""
    counters, stream, clock = Counters(), io.StringIO(), Clock()
    with PlainProgress(counters, stream, clock=clock, polled=False) as progress:
        progress.start(1000, "classify", "x.py")
        for seconds, done in ((0.5, 500), (1, 500), (2, 550), (10.5, 551), (11, 552), (12, 700)):
            clock.now, counters.done = 100 + seconds, done
            progress.tick()

    assert [line.split(",")[0] for line in stream.getvalue().splitlines()] == [
        "classify x.py: 1",
        "500 of 1",
        "552 of 1",
        "700 of 1",
        "700 of 1",
    ]


def test_plain_progress_speaks_every_ten_seconds_though_nothing_is_done() -> None:
    """A bar that says nothing when nothing works is a lie; the line says what is waited for."""
    counters, stream, clock = Counters(waiting="429 from local/qwen,\nagain in 20 s"), io.StringIO(), Clock()
    with PlainProgress(counters, stream, clock=clock, polled=False) as progress:
        progress.start(10, "classify", "x.py")
        clock.now += 10
        progress.tick()

    assert "0 of 10, 0 %, 0:00:10" in stream.getvalue().splitlines()[1]
    assert stream.getvalue().splitlines()[1].endswith("429 from local/qwen, again in 20 s")


def test_plain_progress_with_its_thread_stops_and_stops_again() -> None:
    """The last line is printed once."""
    stream = io.StringIO()
    progress = PlainProgress(Counters(done=3), stream)
    progress.start(3, "classify", "x.py")
    progress.stop()
    progress.stop()

    assert [line[:6] for line in stream.getvalue().splitlines()] == ["classi", "3 of 3"]


def test_a_note_is_a_line_of_its_own_and_safe() -> None:
    """Notes quote services and files."""
    plain, live = io.StringIO(), Terminal()
    PlainProgress(Counters(), plain, polled=False).note("\x1b[2J [/foo]")
    LiveProgress(Counters(), Console(file=live, force_terminal=True)).note("\x1b[2J [/foo]")

    assert plain.getvalue() == "␛[2J [/foo]\n"
    assert "␛[2J [/foo]" in live.getvalue()


def test_a_run_without_cases_is_no_division_by_zero() -> None:
    """Nothing of nothing."""
    stream = io.StringIO()
    with PlainProgress(Counters(), stream, polled=False) as progress:
        progress.start(0, "classify", "x.py")
        progress.tick()

    assert "0 of 0" in stream.getvalue()


def test_live_progress_shows_every_part_in_its_order() -> None:
    """Description, file, M of N, percent, elapsed, remaining; then paid, cached, failed, tokens, cost."""
    counters, stream, clock = Counters(), Terminal(), Clock()
    with LiveProgress(counters, Console(file=stream, force_terminal=True, width=140), clock=clock) as progress:
        progress.start(200, "classify [/foo] \x1b[2J", "experiments/x.py")
        clock.now += 5
        counters.done, counters.paid, counters.cached, counters.failed = 50, 20, 30, 3
        counters.tokens_in, counters.tokens_out, counters.cost_usd = 12_345, 678, 0.0123
        progress.render()
    plain = Console(file=io.StringIO(), width=140)
    plain.print(progress.render())
    text = plain.file.getvalue()  # type: ignore[attr-defined]  # the StringIO above
    parts = ["classify [/foo] ␛[2J", "experiments/x.py", "50/200", "25%", "0:00:05", "paid 20", "cached 30", "failed 3"]

    places = [text.index(part) for part in [*parts, "tokens 12.3k in 678 out", "$0.0123"]]
    assert places == sorted(places)
    assert "\x1b[2J" not in stream.getvalue()


def test_live_progress_without_a_start_stops_quietly() -> None:
    """A run that fails before its first case leaves no display."""
    stream = Terminal()
    with LiveProgress(Counters(), Console(file=stream)):
        pass

    assert stream.getvalue() == ""


def test_the_display_follows_the_stream() -> None:
    """Live on a terminal, plain lines elsewhere, nothing when quiet."""
    assert type(open_progress(Counters(), stream=Terminal())) in (LiveProgress, PlainProgress)
    assert type(open_progress(Counters(), stream=io.StringIO())) is PlainProgress
    assert type(open_progress(Counters(), quiet=True)) is NoProgress


def test_counts_and_durations_are_short() -> None:
    """At most five characters up to a billion."""
    assert [count_text(n) for n in (0, 999, 1_000, 12_345, 999_499, 1_200_000)] == [
        "0",
        "999",
        "1.00k",
        "12.3k",
        "999k",
        "1.20M",
    ]
    assert [seconds_text(s) for s in (0, 59.9, 3661)] == ["0:00:00", "0:00:59", "1:01:01"]
    assert "$1,234.50" in counters_text(Counters(cost_usd=1234.5))
