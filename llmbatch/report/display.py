"""Which display a process has: live on a terminal, plain lines elsewhere, none when quiet."""

from __future__ import annotations

import sys
from typing import TextIO

from llmbatch.report.progress import NoProgress, PlainProgress, Progress
from llmbatch.runner.counters import Counters


def open_progress(counters: Counters, *, quiet: bool = False, stream: TextIO | None = None) -> Progress:
    """Return the display for this process: none when quiet, live on a terminal, else plain lines (stderr)."""
    if quiet:
        return NoProgress()
    stream = stream if stream is not None else sys.stderr
    if not stream.isatty():
        return PlainProgress(counters, stream)
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs rich

    from llmbatch.report.live import LiveProgress  # noqa: PLC0415 - likewise

    console = Console(file=stream)
    return PlainProgress(counters, stream) if console.is_dumb_terminal else LiveProgress(counters, console)
