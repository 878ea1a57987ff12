"""Where the lines of a run's limits are kept: here alone, or in a file that the runs of one machine share.

Bookings are all that is shared, and a booking is a time: nothing has to be given back, so a process that is killed
holds nothing, and a file that is lost costs no more than a moment's burst.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from llmbatch.pacing.booking import Booking, Line, Rates, book

if TYPE_CHECKING:
    from llmbatch.pacing.shared_lines import SharedLines

PATIENCE_SECONDS = 2.0
"""A booking takes a fifty-thousandth of this: whoever holds the file for so long has been stopped."""


@dataclass(slots=True)
class Limit:
    """One limit: its line, by what name it is shared, and by how many tokens the estimates of it were wrong so far."""

    name: bytes
    rates: Rates
    line: Line = field(default_factory=Line)
    owed_tokens: float = 0.0


class Ledger(Protocol):
    """Books starts."""

    def book(self, limits: Sequence[Limit], tokens: Iterable[float], now: float) -> Booking | None:
        """Book as `booking.book` does, what is owed first. None: somebody else is booking, ask again in a moment."""
        ...

    def close(self) -> None:
        """Book no more."""
        ...


class OwnLedger:
    """Keeps the lines in memory: of this run alone."""

    def book(self, limits: Sequence[Limit], tokens: Iterable[float], now: float) -> Booking:
        """Book in the lines of the limits themselves."""
        for limit in limits:
            if limit.owed_tokens:
                limit.line.add_tokens(limit.rates, limit.owed_tokens, now)
                limit.owed_tokens = 0.0
        return book([(limit.line, limit.rates) for limit in limits], tokens, now)

    def close(self) -> None:
        """Do nothing."""


def shared_folder() -> Path:
    """Return the folder for what the runs of one user on one machine share; gone after a restart. Raises OSError."""
    user = f"-{os.getuid()}" if hasattr(os, "getuid") else ""
    return Path(tempfile.gettempdir()) / f"llmbatch{user}"


class SharedLedger:
    """Keeps the lines in a file that other runs use too; where it cannot be had, in memory, which it says once.

    `now` must be of the machine's monotonic clock.
    """

    def __init__(self, find_folder: Callable[[], Path] = shared_folder, *, note: Callable[[str], None]) -> None:
        self._find_folder = find_folder
        self._place = "the temporary folder"
        self._note = note
        self._own = OwnLedger()
        self._lines: SharedLines | None = None
        self._is_usable = True
        self._busy_since: float | None = None

    def book(self, limits: Sequence[Limit], tokens: Iterable[float], now: float) -> Booking | None:
        """Book in the lines as the last of all runs has left them."""
        if not self._is_usable:
            return self._own.book(limits, tokens, now)
        try:
            if self._lines is None:
                from llmbatch.pacing.shared_lines import SharedLines  # noqa: PLC0415 - SQLite, for who has a limit

                folder = self._find_folder()
                self._place = str(folder)
                self._lines = SharedLines(folder)
            with self._lines.locked(limits, now) as is_locked:
                if is_locked:
                    self._busy_since = None
                    return self._own.book(limits, tokens, now)
        except (OSError, ImportError) as error:
            return self._without_others(str(error), limits, tokens, now)
        if self._busy_since is None:
            self._busy_since = now
        if now - self._busy_since < PATIENCE_SECONDS:
            return None
        return self._without_others("another process holds it", limits, tokens, now)

    def close(self) -> None:
        """Close the file."""
        lines, self._lines = self._lines, None
        if lines is not None:
            lines.close()

    def _without_others(self, why: str, limits: Sequence[Limit], tokens: Iterable[float], now: float) -> Booking:
        self._is_usable = False
        self.close()
        self._note(
            f"limits are not shared with other runs on this machine: {self._place} cannot be used ({why}). "
            "If others use the same key now, give each a part of the limit with --rpm and --tpm"
        )
        return self._own.book(limits, tokens, now)
