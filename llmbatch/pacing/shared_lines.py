"""The file of the lines that the runs of one user on one machine share: a small SQLite database.

A transaction is the lock: the system gives it back when its holder dies, on every system. Times are those of the
monotonic clock, which the processes of a machine share and which begins anew at each start of it. So a time in the
future is from before, and void. Nothing is synced: what a power cut takes was void by then too. There are times and
digests in it, no names and no keys.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from llmbatch.pacing.booking import Line
from llmbatch.pacing.ledger import Limit

FILE = "limits.sqlite3"
_DAY_SECONDS = 86_400.0
_CLOCK_SLACK_SECONDS = 1.0
"""Some clocks tick slowly, and not at the same time for everybody."""
_TABLE = "create table if not exists line (name blob primary key, requests real, tokens real, booked_at real)"
_OLD = "delete from line where booked_at < ? or booked_at > ?"
_FIND = "select requests, tokens, booked_at from line where name = ?"
_SAVE = "replace into line values (?, ?, ?, ?)"
_IN_USE = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


class SharedLines:
    """The open file. Every OSError that this raises says that it cannot be used."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: sqlite3.Connection | None = None
        _check(folder)

    @contextmanager
    def locked(self, limits: Sequence[Limit], now: float) -> Iterator[bool]:
        """Give the limits their lines as they are in the file, and put them back at the end; False: it is in use."""
        try:
            file = self._file = self._file or _opened(self._folder / FILE, now)
            file.execute("begin immediate")
            for limit in limits:
                found = file.execute(_FIND, (limit.name,)).fetchone()
                if found is not None:
                    is_void = found[2] > now + _CLOCK_SLACK_SECONDS
                    limit.line = Line() if is_void else Line(found[0], found[1])
        except sqlite3.Error as error:
            self._give_up(error)
            yield False
            return
        yield True
        try:
            file.executemany(
                _SAVE, [(each.name, each.line.requests_until, each.line.tokens_until, now) for each in limits]
            )
            file.execute("commit")
        except sqlite3.Error as error:
            self._give_up(error)

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(sqlite3.Error):
                file.close()

    def _give_up(self, error: sqlite3.Error) -> None:
        """End the transaction. Raises OSError unless the file is only in use for the moment."""
        if self._file is not None:
            with suppress(sqlite3.Error):
                self._file.rollback()
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _IN_USE:
            raise OSError(str(error)) from error


def _check(folder: Path) -> None:
    """Make the folder. Raises OSError where it is somebody else's, or others may write to it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if hasattr(os, "getuid") and (
        not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o022
    ):
        raise PermissionError(f"{folder} is not this user's alone")


def _opened(path: Path, now: float) -> sqlite3.Connection:
    file = sqlite3.connect(path, timeout=0.0, isolation_level=None)
    try:
        file.execute("pragma journal_mode = wal")
        file.execute("pragma synchronous = off")
        file.execute(_TABLE)
        file.execute(_OLD, (now - _DAY_SECONDS, now + _CLOCK_SLACK_SECONDS))
    except sqlite3.Error:
        file.close()
        raise
    return file
