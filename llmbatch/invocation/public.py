"""Running an experiment from a program: `run` to the end, `arun` awaited, `Run` what is left behind."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from typing_extensions import Unpack

from llmbatch.collect import collect, parse_target
from llmbatch.collect.experiment import Experiment, experiment_of_task
from llmbatch.collect.target import Selector
from llmbatch.experiment.words import Task
from llmbatch.invocation.options import RunOptions, settings_of
from llmbatch.invocation.prepared import prepare
from llmbatch.invocation.result import Run
from llmbatch.invocation.steps import execute
from llmbatch.report.display import open_progress
from llmbatch.runner.counters import Counters
from llmbatch.runner.loop import run_in_loop

__all__ = ["arun", "run"]


def run(target: str | Path | Task[..., Any], /, **options: Unpack[RunOptions]) -> Run:
    """Run to the end and return what is left behind; works under a running event loop, as in a notebook.

    `target` is an experiment file (`PATH::task[variant]` selects) or a task. Raises LlmbatchError for what
    stops a run before its first case; whatever goes wrong in a case is that case's row.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run_in_loop(arun(target, **options))
    return _Beside(arun(target, **options)).wait()


async def arun(target: str | Path | Task[..., Any], /, **options: Unpack[RunOptions]) -> Run:
    """The same, awaited."""
    settings = settings_of(options)
    experiment, selectors = _opened(target)
    prepared = prepare(experiment, selectors, settings, os.environ)
    counters = Counters()
    return await execute(prepared, counters, open_progress(counters, quiet=not prepared.settings.progress))


def _opened(target: str | Path | Task[..., Any]) -> tuple[Experiment, list[Selector]]:
    if isinstance(target, Task):
        return experiment_of_task(target), []
    parsed = parse_target(target)
    return collect(parsed.path), [parsed.selector] if parsed.selector is not None else []


class _Beside:
    """A coroutine in a thread with a loop of its own, since a running loop cannot be entered twice.

    An interrupt of the thread that waits (a notebook's stop button) is handed on as a cancellation, which drains
    the run; a second one ends it.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Run]) -> None:
        self._coroutine = coroutine
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._cancelled = False

    def wait(self) -> Run:
        """Return what the coroutine returns. Raises KeyboardInterrupt when it was interrupted and has ended."""
        interrupted = False
        with ThreadPoolExecutor(1, thread_name_prefix="llmbatch-run") as executor:
            future = executor.submit(lambda: run_in_loop(self._main()))
            while True:
                try:
                    return future.result()
                except KeyboardInterrupt:
                    interrupted = True
                    self._cancel()
                except (CancelledError, asyncio.CancelledError):  # two classes: of the executor and of the loop
                    if interrupted:
                        raise KeyboardInterrupt from None
                    raise

    async def _main(self) -> Run:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        if self._cancelled:
            self._cancel()
        return await self._coroutine

    def _cancel(self) -> None:
        self._cancelled = True
        if self._loop is not None and self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)
