"""What the `x-ratelimit-*` headers of a reply say of limits. Pure; unknown and senseless values are passed over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from llmbatch.call.values import Headers, Reply
from llmbatch.policy.waits import reset_seconds

LONGEST_EMPTY_SECONDS = 10.0
"""A reset may tell when a bucket is full again, with room in it long before: so it is looked again after this."""
EMPTY_SECONDS = 1.0
"""How long nothing is sent where nothing remains and the reply does not say for how long."""

_KINDS = ("-requests", "-tokens", "")
_TELLING = frozenset(
    f"x-ratelimit-{what}" for what in ("limit-requests", "limit-tokens", *(f"remaining{kind}" for kind in _KINDS))
)


class StatedLimits(NamedTuple):
    """Requests and tokens a minute, as the service states them; None where it does not."""

    rpm: float | None
    tpm: float | None


def states_limits(headers: Headers) -> bool:
    """Whether there is anything to read, which most replies of most services have not."""
    return not _TELLING.isdisjoint(headers)


def limits_of(headers: Headers) -> StatedLimits:
    """Return the limits that a reply states. Zero and below is how some say "no limit"."""
    return StatedLimits(
        _positive(headers.get("x-ratelimit-limit-requests")), _positive(headers.get("x-ratelimit-limit-tokens"))
    )


def _utc_now() -> datetime:
    return datetime.now(UTC)


def empty_for_seconds(reply: Reply, now: Callable[[], datetime] = _utc_now) -> float:
    """Return how long nothing should be sent because nothing remains of a limit; 0 where something does.

    `now` is asked only where a reset may be an instant.
    """
    headers, longest = reply.headers, 0.0
    for kind in _KINDS:
        remaining, limit = headers.get(f"x-ratelimit-remaining{kind}"), headers.get(f"x-ratelimit-limit{kind}")
        if remaining is None or remaining[0].strip() not in {"0", "0.0"}:
            continue
        if limit is not None and _positive(limit) is None:
            continue  # nothing of nothing: an unlimited key
        reset = headers.get(f"x-ratelimit-reset{kind}")
        seconds = reset_seconds(reset[0], now()) if reset else EMPTY_SECONDS
        if seconds is not None:
            longest = max(longest, min(seconds, LONGEST_EMPTY_SECONDS))
    return longest


def _positive(values: tuple[str, ...] | None) -> float | None:
    if not values:
        return None
    try:
        number = float(values[0])
    except ValueError:
        return None
    return number if 0 < number < 1e12 else None
