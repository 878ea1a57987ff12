"""Progress on a terminal, drawn by rich. Knows the counters only; imported when there is a terminal."""

from __future__ import annotations

import sys
import time
from pathlib import PurePath

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.table import Column
from rich.text import Text

from llmbatch.report.progress import Clock, NoProgress, counters_text
from llmbatch.report.safe import safe
from llmbatch.runner.counters import Counters

REFRESHES_PER_SECOND = 8
_WIDE = 110


class LiveProgress(NoProgress):
    """A line with spinner, description, file, bar, M of N, percent, elapsed and remaining; the counters below.

    rich's refresh thread reads the counters; what tasks print meanwhile appears above.
    """

    def __init__(self, counters: Counters, console: Console, *, clock: Clock = time.monotonic) -> None:
        self._counters = counters
        self._console = console
        self._clock = clock
        self._live: Live | None = None

    def start(self, total: int, description: str, file: str) -> None:
        """Draw the display and keep it fresh."""
        name = file if self._console.width >= _WIDE else PurePath(file).name
        self._bar = _bar(self._console, self._clock)
        self._task = self._bar.add_task(safe(description), total=total, file=safe(name))
        self._live = Live(
            get_renderable=self.render,
            console=self._console,
            refresh_per_second=REFRESHES_PER_SECOND,
            redirect_stdout=sys.stdout.isatty(),  # never into a file's standard output
        )
        self._live.start(refresh=True)

    def render(self) -> Group:
        """Return the display as the counters are now."""
        self._bar.update(self._task, completed=self._counters.done)
        counters = Text(counters_text(self._counters))
        if self._counters.failed:
            counters.highlight_regex(r"failed [\d,]+", "bold red")
        return Group(self._bar.get_renderable(), counters)

    def note(self, text: str) -> None:
        """Print the text above the display."""
        self._console.print(Text(safe(text), style="yellow"))

    def stop(self) -> None:
        """Leave the last state on the screen."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def _bar(console: Console, clock: Clock) -> Bars:
    return Bars(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False, table_column=_text_column()),
        TextColumn("{task.fields[file]}", markup=False, style="dim", table_column=_text_column()),
        BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=8)),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TaskProgressColumn(),
        TimeElapsedColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
        console=console,
        get_time=clock,
        expand=True,
        auto_refresh=False,
    )


def _text_column() -> Column:
    return Column(no_wrap=True, overflow="ellipsis", min_width=6)
