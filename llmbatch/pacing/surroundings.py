"""What the lanes of a run share: who is told, and the time and chance that tests replace."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from llmbatch.pacing.ledger import Ledger, OwnLedger
from llmbatch.runlog import Log, NoLog


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Do not make the call."""
        ...


def call_later(seconds: float, callback: Callable[[], None]) -> Timer:
    """Call back from the running loop."""
    return asyncio.get_running_loop().call_later(seconds, callback)


def _unheard(said: str) -> None:
    """Say it to nobody."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where starts are booked, who hears of it, time and chance.

    `clock` must be the machine's monotonic one where the ledger is shared.
    """

    ledger: Ledger = field(default_factory=OwnLedger)
    log: Log = field(default_factory=NoLog)
    note: Callable[[str], None] = _unheard
    clock: Callable[[], float] = time.monotonic
    call_later: Callable[[float, Callable[[], None]], Timer] = call_later
    random: Callable[[], float] = random.random
