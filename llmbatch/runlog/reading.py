"""Reading run logs back: events as they were told, and in a line what a run came to. Writes nothing.

A log may be torn, of another llmbatch, or of another program: what is no event is passed over, and no field is taken
for more than it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import SEEK_END
from pathlib import Path
from typing import Any

import orjson

from llmbatch.runlog.log import RUN_LOG

LONGEST_LINE = 1 << 20
"""Bytes of the longest line that is looked at: what is longer was not written by us."""
_TAIL_BYTES = 1 << 18

Event = Mapping[str, Any]


class ForeignLogError(ValueError):
    """A file that is no run log; the text says why."""


@dataclass(frozen=True, slots=True)
class PastRun:
    """What the first and the last event of a log say. `end` is empty where there is none: killed, or still running.

    `last_at` is when the last event was told.
    """

    folder: Path
    start: Event
    end: Event = field(default_factory=dict)
    last_at: str = ""

    @property
    def name(self) -> str:
        """The run's own name: that of its folder."""
        return self.folder.name

    @property
    def experiment(self) -> str:
        """The experiment's name."""
        return text_of(self.start, "experiment")

    def count(self, name: str) -> int | None:
        """Return a number that the end tells, else the start; None where neither does."""
        found = number_of(self.end, name)
        found = number_of(self.start, name) if found is None else found
        return None if found is None else int(found)


def events_of(path: Path) -> Iterator[Event]:
    """Yield the events of a log, and nothing for a line that is none. Raises OSError."""
    with path.open("rb") as stream:
        while line := stream.readline(LONGEST_LINE):
            event = _event_of(line)
            if event is not None:
                yield event


def past_run_of(path: Path) -> PastRun:
    """Return what a log says at its two ends, in a bounded read. Raises ForeignLogError and OSError."""
    with path.open("rb") as stream:
        start = _event_of(stream.readline(LONGEST_LINE))
        if start is None or start["event"] != "start":
            raise ForeignLogError("its first line is not the start of a run")
        size = stream.seek(0, SEEK_END)
        stream.seek(max(0, size - _TAIL_BYTES))
        tail = stream.read(_TAIL_BYTES)
    events = [event for line in tail.splitlines()[-1000:] if (event := _event_of(line)) is not None]
    last = events[-1] if events else start
    return PastRun(path.parent, start, last if last["event"] == "end" else {}, text_of(last, "at"))


def logs_below(folder: Path) -> Iterator[Path]:
    """Yield every run log below a folder, at any depth; links to folders are not followed."""
    for parent, folders, files in os.walk(folder):
        folders.sort()
        if RUN_LOG in files:
            yield Path(parent) / RUN_LOG


def text_of(event: Event, name: str) -> str:
    """Return a field as text; empty where it is none."""
    value = event.get(name)
    return value if isinstance(value, str) else ""


def number_of(event: Event, name: str) -> float | None:
    """Return a field as a number; None where it is none."""
    value = event.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _event_of(line: bytes) -> Event | None:
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None
