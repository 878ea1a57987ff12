"""Where the lines of a run's limits are kept: here alone, or in a file that the runs of one machine share.

Bookings are all that is shared, and a booking is a time: nothing has to be given back, so a process that is killed
holds nothing, and a file that is lost costs no more than a moment's burst. The file has times and digests, no names.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from llmbatch.pacing.booking import Booking, Line, Rates, book

FILE = "limits.sqlite3"
PATIENCE_SECONDS = 2.0
"""A booking takes a fifty-thousandth of this: whoever holds the file for so long has been stopped."""
_DAY_SECONDS = 86_400.0
_FIND = "select requests, tokens, booked_at from line where name = ?"
_TABLE = "create table if not exists line (name blob primary key, requests real, tokens real, booked_at real)"


@dataclass(slots=True)
class Limit:
    """One limit: its line, by whatever name it is shared, and the tokens by which estimates of it were wrong so far."""

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


class SharedLedger:
    """Keeps the lines in a SQLite file; where that cannot be had, in memory, which it says once.

    A transaction is the lock: the system gives it back when its holder dies, on every system. Times are those of the
    monotonic clock, which the processes of a machine share and which begins anew at each start of it; a time in the
    future is from before, and void. `now` must be of that clock. Nothing is synced: after a power cut it is void too.
    """

    def __init__(self, folder: Path, *, note: Callable[[str], None]) -> None:
        self._folder = folder
        self._note = note
        self._own = OwnLedger()
        self._file: sqlite3.Connection | None = None
        self._is_usable = True
        self._busy_since: float | None = None

    def book(self, limits: Sequence[Limit], tokens: Iterable[float], now: float) -> Booking | None:
        """Book in one transaction over all limits."""
        if not self._is_usable:
            return self._own.book(limits, tokens, now)
        try:
            if self._file is None:
                self._file = _opened(self._folder, now)
            self._file.execute("begin immediate")
            booking = self._booked(self._file, limits, tokens, now)
            self._file.execute("commit")
        except (sqlite3.Error, OSError) as error:
            return self._without(error, limits, tokens, now)
        self._busy_since = None
        return booking

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(sqlite3.Error):
                file.close()

    def _booked(
        self, file: sqlite3.Connection, limits: Sequence[Limit], tokens: Iterable[float], now: float
    ) -> Booking:
        for limit in limits:
            found = file.execute(
                "select requests, tokens, booked_at from line where name = ?", (limit.name,)
            ).fetchone()
            if found is not None and found[2] <= now + 1.0:  # some clocks tick slowly, and not at once everywhere
                limit.line.requests_until, limit.line.tokens_until = found[0], found[1]
            elif found is not None:
                limit.line = Line()
        booking = self._own.book(limits, tokens, now)
        for limit in limits:
            values = (limit.name, limit.line.requests_until, limit.line.tokens_until, now)
            file.execute("replace into line values (?, ?, ?, ?)", values)
        return booking

    def _without(
        self, error: Exception, limits: Sequence[Limit], tokens: Iterable[float], now: float
    ) -> Booking | None:
        """Tell a file that is in use for the moment (None) from one that cannot be used."""
        with suppress(sqlite3.Error):
            if self._file is not None:
                self._file.rollback()
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            if self._busy_since is None:
                self._busy_since = now
            if now - self._busy_since < PATIENCE_SECONDS:
                return None
        self._is_usable = False
        self.close()
        self._note(
            f"limits are not shared with other runs on this machine: {self._folder / FILE} cannot be used ({error}). "
            "If others use the same key now, give each a part of the limit with --rpm and --tpm"
        )
        return self._own.book(limits, tokens, now)


def shared_folder() -> Path:
    """Return the folder for what the runs of one user on one machine share: in the temporary one, gone at a restart."""
    user = f"-{os.getuid()}" if hasattr(os, "getuid") else ""
    return Path(tempfile.gettempdir()) / f"llmbatch{user}"


def _opened(folder: Path, now: float) -> sqlite3.Connection:
    """Open the file. Raises OSError for a folder that is somebody else's, or may be written by others."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if hasattr(os, "getuid") and (
        not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o022
    ):
        raise PermissionError(f"{folder} is not this user's alone")
    file = sqlite3.connect(folder / FILE, timeout=0.0, isolation_level=None)
    try:
        file.execute("pragma journal_mode = wal")
        file.execute("pragma synchronous = off")
        file.execute(_TABLE)
        file.execute("delete from line where booked_at < ? or booked_at > ?", (now - _DAY_SECONDS, now + 1.0))
    except BaseException:
        file.close()
        raise
    return file
