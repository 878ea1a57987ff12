"""How long a service asks to wait, in all the ways services write it. Knows no limit: the caller has one."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from llmbatch.call.values import Reply

_NUMBER = re.compile(r"\d{1,15}(\.\d{1,15})?", re.ASCII)
_DURATION = re.compile(
    r"(?:(\d{1,9}(?:\.\d+)?)d)?(?:(\d{1,9}(?:\.\d+)?)h)?(?:(\d{1,9}(?:\.\d+)?)m(?!s))?"
    r"(?:(\d{1,9}(?:\.\d+)?)s)?(?:(\d{1,9}(?:\.\d+)?)ms)?",
    re.ASCII,
)
_DURATION_UNITS = (86_400.0, 3_600.0, 60.0, 1.0, 0.001)
_EPOCH_SECONDS, _EPOCH_MILLISECONDS = 1e9, 1e12


def retry_after_seconds(reply: Reply, *, now: datetime) -> float | None:
    """Return the seconds the reply asks to wait, never negative; None where it says nothing readable.

    In order: `retry-after-ms`, `retry-after` (seconds or an HTTP date), the largest `x-ratelimit-reset*`.
    `now` must be aware; dates are compared with the reply's own `date` where it has one, so that a service
    whose clock is wrong is still understood.
    """
    now = _http_date(reply.header("date")) or now
    milliseconds = _number(reply.header("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    written = reply.header("retry-after")
    seconds = _number(written)
    if seconds is not None:
        return seconds
    until = _http_date(written)
    if until is not None:
        return max(0.0, (until - now).total_seconds())
    resets = [reset_seconds(values[0], now) for name, values in reply.headers.items() if _is_reset(name) and values]
    return max((reset for reset in resets if reset is not None), default=None)


def _is_reset(name: str) -> bool:
    return name.startswith("x-ratelimit-reset")


def reset_seconds(text: str, now: datetime) -> float | None:
    """Read `6m0s`, `1m30s`, `20ms`, plain seconds, an epoch (seconds or milliseconds) or an ISO instant."""
    number = _number(text)
    if number is not None:
        if number >= _EPOCH_MILLISECONDS:
            return max(0.0, number / 1000 - now.timestamp())
        return max(0.0, number - now.timestamp()) if number >= _EPOCH_SECONDS else number
    match = _DURATION.fullmatch(text.strip())
    if match and any(match.groups()):
        return sum(float(part) * unit for part, unit in zip(match.groups(), _DURATION_UNITS, strict=True) if part)
    try:
        until = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - now).total_seconds())


def _number(text: str | None) -> float | None:
    return float(text) if text is not None and _NUMBER.fullmatch(text := text.strip()) else None


def _http_date(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
