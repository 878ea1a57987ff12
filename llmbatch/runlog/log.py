"""Writing events: each is one write to the file, so what was told before a kill is there after it."""

from __future__ import annotations

import json
import math
import os
import threading
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

RUN_LOG = "run.jsonl"
"""The log's name in the folder of a run."""


class Log(Protocol):
    """Whoever hears what happens."""

    def write(self, event: str, /, **details: Any) -> None:
        """Take note of one event of `EVENTS`. Never raises."""
        ...


def write_exception(log: Log, event: str, error: BaseException, /, **details: Any) -> None:
    """Tell the log of an exception: `error` is its name and words, `traceback` the whole of it."""
    lines = traceback.format_exception(error)
    log.write(event, **details, error=f"{type(error).__name__}: {error}", traceback="".join(lines))


class NoLog:
    """Hears nothing: for what leaves no results behind."""

    def write(self, event: str, /, **details: Any) -> None:
        """Do nothing."""


class RunLog:
    """Appends events to a file, from any thread; every text passes `scrub` first, so that no secret is in it.

    A log that cannot be written costs no answer: `lost` counts the events that are missing, and `problem` says why.
    """

    def __init__(self, path: Path, scrub: Callable[[str], str]) -> None:
        self.path = path
        self.lost = 0
        self.problem = ""
        self._scrub = scrub
        self._lock = threading.Lock()
        self._is_torn = False
        self._file: int | None = None
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
        except OSError as error:
            self._note(error)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what is told later is counted as lost."""
        with self._lock:
            file, self._file = self._file, None
            if file is not None:
                try:
                    os.close(file)
                except OSError as error:
                    self._note(error)

    def write(self, event: str, /, **details: Any) -> None:
        """Append one event."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        text = self._scrub(_json_of({"at": at, "event": event, **details}))
        line = text.encode("ascii", "backslashreplace") + b"\n"
        with self._lock:
            if self._file is None:
                self.lost += 1
                return
            try:
                if self._is_torn:  # the piece of a line that a full disk left ends here, and is skipped by readers
                    line = b"\n" + line
                    self._is_torn = False
                while line:  # a disk that is nearly full takes a part, and calls it no error
                    line = line[os.write(self._file, line) :]
            except OSError as error:
                self.lost += 1
                self._is_torn = True
                self._note(error)

    def _note(self, error: OSError) -> None:
        self.problem = self.problem or f"the run log {self.path} cannot be written: {error.strerror or error}"


def _json_of(line: dict[str, Any]) -> str:
    """Return one line of JSON in ASCII, so that a lone surrogate in a message is an escape and no second exception."""
    try:
        return json.dumps(line, default=str, allow_nan=False)
    except ValueError:
        return json.dumps({name: _finite(value) for name, value in line.items()}, default=str)


def _finite(value: object) -> object:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
