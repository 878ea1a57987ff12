"""How long a service asks to wait: every way of writing it, and what is not understood."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmbatch.call.values import Reply
from llmbatch.policy import retry_after_seconds

NOW = datetime(2026, 11, 1, 12, 0, 0, tzinfo=UTC)


def wait(**headers: str) -> float | None:
    named = {name.replace("_", "-"): (value,) for name, value in headers.items()}
    return retry_after_seconds(Reply(429, "", named, b""), now=NOW)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12", 12.0),
        ("1.5", 1.5),
        (" 3 ", 3.0),
        ("0", 0.0),
        ("86400", 86_400.0),
        ("Sun, 01 Nov 2026 12:00:30 GMT", 30.0),
        ("Sun, 01 Nov 2026 11:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_never_negative(text: str, seconds: float) -> None:
    """A date in the past means now."""
    assert seconds == wait(retry_after=text)


@pytest.mark.parametrize("text", ["inf", "nan", "1e400", "-5", "soon", "", "1_0", "0x10", "99999999999999999999", "٣"])
def test_what_is_no_time_is_no_wait(text: str) -> None:
    """A garbled header must neither hang a run nor crash it."""
    assert wait(retry_after=text) is None


def test_milliseconds_come_first() -> None:
    """OpenAI's own header is the finer one."""
    assert wait(retry_after_ms="250", retry_after="7") == 0.25


def test_a_date_is_read_by_the_services_own_clock() -> None:
    """A service an hour ahead that asks for ten seconds is not made to mean an hour."""
    theirs = NOW + timedelta(hours=1)
    until = format_datetime(theirs + timedelta(seconds=10), usegmt=True)

    assert wait(retry_after=until, date=format_datetime(theirs, usegmt=True)) == 10.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6m0s", 360.0),
        ("1m30s", 90.0),
        ("20ms", 0.02),
        ("8.64s", 8.64),
        ("1h2m", 3_720.0),
        ("4", 4.0),
        ("1d", 86_400.0),
        ("2026-11-01T12:00:05Z", 5.0),
        ("2026-11-01T11:00:00", 0.0),
        (str(int(NOW.timestamp()) + 9), 9.0),
        (str((int(NOW.timestamp()) + 9) * 1000), 9.0),
    ],
)
def test_reset_headers_are_durations_epochs_or_instants(text: str, seconds: float) -> None:
    """Every service writes its own."""
    assert wait(x_ratelimit_reset_tokens=text) == pytest.approx(seconds)


def test_the_largest_reset_counts_and_only_without_retry_after() -> None:
    """Both buckets must have room."""
    assert wait(x_ratelimit_reset_requests="1s", x_ratelimit_reset_tokens="9s") == 9.0
    assert wait(x_ratelimit_reset_requests="1s", retry_after="2") == 2.0
    assert wait(x_ratelimit_reset_requests="1s", retry_after="rubbish") == 1.0
    assert wait() is None


@given(st.text(max_size=30), st.sampled_from(["retry_after", "retry_after_ms", "x_ratelimit_reset_requests", "date"]))
def test_no_header_raises_or_gives_a_negative_or_endless_wait(text: str, name: str) -> None:
    """Any text at all is a finite wait or none."""
    seconds = wait(**{name: text})

    assert seconds is None or 0 <= seconds < float("inf")
