"""Rate limit headers are read where they make sense, and passed over where they do not."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from llmbatch.call.values import Reply
from llmbatch.pacing.headers import empty_for_seconds, limits_of, states_limits

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def reply(**headers: str) -> Reply:
    return Reply(200, "OK", {f"x-ratelimit-{name.replace('_', '-')}": (value,) for name, value in headers.items()}, b"")


@pytest.mark.parametrize(
    ("headers", "limits"),
    [
        ({"limit_requests": "500", "limit_tokens": "30000"}, (500, 30000)),
        ({"limit_requests": "500"}, (500, None)),
        ({"limit_requests": "0", "limit_tokens": "-1"}, (None, None)),
        ({"limit_requests": "many", "limit_tokens": "nan"}, (None, None)),
        ({"limit_requests": "inf"}, (None, None)),
        ({"limit": "500"}, (None, None)),
    ],
)
def test_stated_limits_are_positive_numbers_of_a_known_unit(
    headers: dict[str, str], limits: tuple[float | None, float | None]
) -> None:
    """A limit of nothing says that there is none; one without a unit may be of a day."""
    assert limits == limits_of(reply(**headers).headers)


def test_most_replies_say_nothing_and_are_looked_at_no_further() -> None:
    """A look at every reply has to cost next to nothing."""
    assert [True, True, True, False] == [
        states_limits(each.headers)
        for each in (reply(limit_tokens="1"), reply(remaining="1"), reply(remaining_requests="0"), reply(reset="1"))
    ]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"remaining_requests": "0", "reset_requests": "120ms"}, 0.12),
        ({"remaining_tokens": "0", "reset_tokens": "3s"}, 3.0),
        ({"remaining_requests": "0", "reset_requests": "6m0s"}, 10.0),
        ({"remaining": "0", "reset": "2026-11-22T12:00:04Z"}, 4.0),
        ({"remaining_requests": "0"}, 1.0),
        ({"remaining_requests": "0", "reset_requests": "soon"}, 0.0),
        ({"remaining_requests": "1", "reset_requests": "6m0s"}, 0.0),
        ({"remaining_requests": "0", "limit_requests": "0", "reset_requests": "1s"}, 0.0),
        ({}, 0.0),
    ],
)
def test_nothing_is_sent_while_nothing_remains(headers: dict[str, str], seconds: float) -> None:
    """But it is looked again after ten seconds: some tell when all is there again, not when something is."""
    assert pytest.approx(seconds) == empty_for_seconds(reply(**headers), now=lambda: NOON)
