"""A worker's part in the lock of its run: it holds none, and shows that it knows the holder's token.

The holder of the lock starts workers and tells each its token. Knows no segment.
"""

from __future__ import annotations

from pathlib import Path

import orjson

from llmbatch.cassette.lock import LOCK_FILE
from llmbatch.errors import CassetteLocked


class JoinedLock:
    """The right to add files to a folder for as long as the run with this token holds its lock."""

    def __init__(self, folder: Path, token: str) -> None:
        self.path = folder / LOCK_FILE
        self._token = token
        self._seen: tuple[int, int] | None = None
        self.check()

    def check(self) -> None:
        """Raise CassetteLocked unless the run still holds its lock. A file that did not change is not read again."""
        try:
            state = self.path.stat()
            stamp = (state.st_ino, state.st_mtime_ns)
            if stamp == self._seen:
                return
            holder = orjson.loads(self.path.read_bytes())
            if isinstance(holder, dict) and holder.get("token") == self._token:
                self._seen = stamp
                return
            why = "another run holds the lock now"
        except FileNotFoundError:
            why = "nobody holds the lock"
        except (OSError, ValueError) as error:
            why = f"its lock cannot be read: {error}"
        raise CassetteLocked(
            "the run that this worker belongs to does not hold this cassette",
            lock=str(self.path),
            why=why,
            fix="start workers from the run that holds the lock, and let them end before it",
        )

    def release(self) -> None:
        """Do nothing: the lock is the run's."""
