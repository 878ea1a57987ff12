"""Faults that nobody scripted: which attempt of which body meets which is a function of the seed alone.

A body meets at most two, and no further one after a hang, so that a client with a few retries gets every answer.
"""

from __future__ import annotations

from tests.support.fault_server.model import Dice
from tests.support.fault_server.script import Fault

MOST_FAULTS_A_BODY = 2
_HEADERS_OF_429: tuple[dict[str, str], ...] = (
    {"retry-after": "0"},
    {"retry-after": "0.05"},
    {"retry-after-ms": "20"},
    {"retry-after": "now-5"},
    {"retry-after": "inf"},
    {"x-ratelimit-reset-requests": "30ms", "x-ratelimit-remaining-requests": "0"},
)
_ERRORS = ("500", "502", "503", "504", "520", "524", "529", "408", "409", "425")
_BROKEN = ("html", "broken", "cut", "rst", "excess", "error", "empty", "plain")
_SLOW = ("drip",)
_KINDS = ("429", "error", "broken", "slow")


def chaos_at(seed: str, key: str, attempt: int, *, share: float, hangs: bool) -> Fault | None:
    """Return what goes wrong at this attempt (from 0); `share` is the part of attempts that meet a fault."""
    if attempt >= MOST_FAULTS_A_BODY or any(
        (before := _at(seed, key, earlier, share=share, hangs=hangs)) is not None and before.name == "hang"
        for earlier in range(attempt)
    ):
        return None
    return _at(seed, key, attempt, share=share, hangs=hangs)


def _at(seed: str, key: str, attempt: int, *, share: float, hangs: bool) -> Fault | None:
    dice = Dice(f"{seed}:{key}:{attempt}:chaos")
    if dice.pick(1_000_000) >= share * 1_000_000:
        return None
    if hangs and attempt == 0 and dice.pick(20) == 0:
        return Fault("hang", {}, None)
    match _KINDS[dice.pick(len(_KINDS))]:
        case "429":
            return Fault("429", dict(_HEADERS_OF_429[dice.pick(len(_HEADERS_OF_429))]), None)
        case "error":
            return Fault(_ERRORS[dice.pick(len(_ERRORS))], {"retry-after": "0"}, None)
        case "broken":
            return Fault(_BROKEN[dice.pick(len(_BROKEN))], {}, None)
        case _:
            return Fault(_SLOW[dice.pick(len(_SLOW))], {}, None)
