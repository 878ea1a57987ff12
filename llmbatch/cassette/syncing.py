"""A thread that syncs what was written, so that no event loop waits for the medium. Knows no file."""

from __future__ import annotations

import threading
from collections.abc import Callable


class BackgroundSync:
    """Calls `sync`, in a thread of its own, `seconds` after the first `wrote` since the last call.

    `sync` keeps its own failures: nobody waits for it here.
    """

    def __init__(self, sync: Callable[[], None], *, seconds: float) -> None:
        self._sync = sync
        self._seconds = seconds
        self._written = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="llmbatch-sync", daemon=True)
        self._thread.start()

    def wrote(self) -> None:
        """Take note that there is something to sync."""
        if not self._written.is_set():
            self._written.set()

    def end(self) -> None:
        """Wait for the thread's end; what was written since its last sync is left to the caller."""
        self._ended.set()
        self._written.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._written.wait()
            if self._ended.wait(self._seconds):
                return
            self._written.clear()  # before the sync: what is written during it is for the next
            if self._ended.is_set():  # it has come since the wait was over, and what told of it is cleared
                return
            self._sync()
