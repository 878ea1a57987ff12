"""How far a run is: the counters a runner keeps, and displays that read them. Knows no case and no reply.

A counter is a plain number on an object: to count costs nanoseconds, and no display is called for it. The
display looks at the counters from a thread of its own, at most ten times a second.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from threading import Event, Thread
from types import TracebackType
from typing import Protocol, Self, TextIO

from llmbatch.report.safe import safe
from llmbatch.runner.counters import Counters

Clock = Callable[[], float]


class Progress(Protocol):
    """A display of the counters between `start` and `stop`; as a context manager it stops at the end."""

    def start(self, total: int, description: str, file: str) -> None:
        """Begin to show `total` cases of the experiment in `file`."""

    def note(self, text: str) -> None:
        """Say something that matters now, beside the display."""

    def stop(self) -> None:
        """Show the last state and end; a second time does nothing."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class NoProgress:
    """Shows nothing."""

    def start(self, total: int, description: str, file: str) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class PlainProgress(NoProgress):
    """Plain lines for logs: one at the start, one when 10 s or 10 % (and 1 s) have gone by, one at the end.

    `polled=False` starts no thread: whoever made it calls `tick`.
    """

    def __init__(
        self, counters: Counters, stream: TextIO | None = None, *, clock: Clock = time.monotonic, polled: bool = True
    ) -> None:
        self._counters = counters
        self._stream = stream if stream is not None else sys.stderr
        self._clock = clock
        self._polled = polled
        self._running = False
        self._stopping = Event()
        self._thread: Thread | None = None
        self._total = 0
        self._started = self._last_at = 0.0
        self._last_done = 0

    def start(self, total: int, description: str, file: str) -> None:
        """Say what begins."""
        self._total = total
        self._started = self._last_at = self._clock()
        self._last_done = self._counters.done
        self._running = True
        self._print(f"{safe(description)} {safe(file)}: {total:,} cases")
        if self._polled:
            self._thread = Thread(target=self._poll, name="llmbatch-progress", daemon=True)
            self._thread.start()

    def _poll(self) -> None:
        while not self._stopping.wait(0.5):
            self.tick()

    def tick(self) -> None:
        """Print a line if one is due."""
        since = self._clock() - self._last_at
        step = self._counters.done - self._last_done
        if since >= 10 or (since >= 1 and step > 0 and step * 10 >= self._total):
            self._last_at += since
            self._last_done = self._counters.done
            self._print(self._state())

    def note(self, text: str) -> None:
        """Print the text as a line of its own."""
        self._print(safe(text))

    def stop(self) -> None:
        """Print the last state."""
        if not self._running:
            return
        self._running = False
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        self._print(self._state())

    def _state(self) -> str:
        done, total = self._counters.done, self._total
        percent = f"{100 * done // total} %, " if total else ""
        elapsed = seconds_text(self._clock() - self._started)
        return f"{done:,} of {total:,}, {percent}{elapsed}, {counters_text(self._counters)}"

    def _print(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


def counters_text(counters: Counters) -> str:
    """Return the counters after the bar: paid, cached, failed, tokens, cost, and what is waited for."""
    parts = [
        f"paid {counters.paid:,}",
        f"cached {counters.cached:,}",
        f"failed {counters.failed:,}",
        f"tokens {count_text(counters.tokens_in)} in {count_text(counters.tokens_out)} out",
    ]
    if counters.cost_usd:  # without prices nothing is known, and 0 would be a claim
        parts.append(f"${counters.cost_usd:,.4f}" if counters.cost_usd < 1 else f"${counters.cost_usd:,.2f}")
    if counters.hedged:
        parts.append(f"hedged {counters.hedged:,}")
    if counters.in_flight:
        parts.append(f"in flight {counters.in_flight:,}")
    if counters.waiting:
        parts.append(" ".join(safe(counters.waiting).split()))
    return ", ".join(parts)


def count_text(count: int) -> str:
    """Return a count in at most five characters up to 999 billion: 999, 12.3k, 1.20M."""
    for size, unit in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if count >= size:
            whole = count / size
            return f"{whole:.{2 if whole < 9.995 else 1 if whole < 99.95 else 0}f}{unit}"
    return str(count)


def seconds_text(seconds: float) -> str:
    """Return a duration as h:mm:ss."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
