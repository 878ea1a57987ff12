"""The run log: one JSON object a line under the run's folder. Nothing in it ever changes a row."""

from __future__ import annotations

import json
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from llmbatch.errors import DiskError


class RunLog:
    """Appends events as they happen; every text passes `scrub` first, so that no secret is in it.

    An event has `at` (ISO 8601, UTC), `event` (its name) and what belongs to it.
    """

    def __init__(self, path: Path, scrub: Callable[[str], str]) -> None:
        self.path = path
        self._scrub = scrub
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8", errors="backslashreplace", newline="\n")
        except OSError as error:
            raise self._disk_error(error) from error

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; further events are an error. What the disk did not take was reported when it was written."""
        with suppress(OSError):
            self._file.close()

    def _disk_error(self, error: OSError) -> DiskError:
        return DiskError(
            f"the run log {self.path} cannot be written: {error.strerror or error}",
            fix="free space or choose another folder with --results, then rerun: recorded answers cost nothing",
        )

    def write(self, event: str, **details: Any) -> None:
        """Append one event."""
        line = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **details}
        # ASCII, so that a lone surrogate in a message or a traceback is an escape and no second exception
        text = self._scrub(json.dumps(line, default=str))
        try:
            with self._lock:
                self._file.write(text + "\n")
                self._file.flush()
        except OSError as error:
            raise self._disk_error(error) from error

    def write_exception(self, event: str, error: BaseException, **details: Any) -> None:
        """Append one event with the traceback of an exception."""
        lines = traceback.format_exception(error)
        self.write(event, **details, error=f"{type(error).__name__}: {error}", traceback="".join(lines))
