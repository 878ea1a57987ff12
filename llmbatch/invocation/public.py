"""Running an experiment from a program: `run` to the end, `arun` awaited, `Run` what is left behind."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from typing_extensions import Unpack

from llmbatch.collect import collect, parse_target
from llmbatch.collect.experiment import Experiment, experiment_of_task
from llmbatch.collect.target import Selector
from llmbatch.experiment.words import Task
from llmbatch.invocation.options import RunOptions, settings_of
from llmbatch.invocation.result import Metric, Run
from llmbatch.invocation.steps import execute, prepare
from llmbatch.report.progress import open_progress
from llmbatch.runner.counters import Counters

__all__ = ["Metric", "Run", "RunOptions", "arun", "run"]


def run(target: str | Path | Task[..., Any], /, **options: Unpack[RunOptions]) -> Run:
    """Run to the end and return what is left behind; works under a running event loop, as in a notebook.

    `target` is an experiment file (`PATH::task[variant]` selects) or a task. Raises LlmbatchError for what
    stops a run before its first case; whatever goes wrong in a case is that case's row.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(arun(target, **options))
    # a loop cannot be entered twice: a thread of its own has its own
    with ThreadPoolExecutor(1, thread_name_prefix="llmbatch-run") as executor:
        return executor.submit(lambda: asyncio.run(arun(target, **options))).result()


async def arun(target: str | Path | Task[..., Any], /, **options: Unpack[RunOptions]) -> Run:
    """The same, awaited."""
    settings = settings_of(options)
    experiment, selectors = _opened(target)
    prepared = prepare(experiment, selectors, settings, os.environ)
    counters = Counters()
    return await execute(prepared, counters, open_progress(counters, quiet=not settings.progress))


def _opened(target: str | Path | Task[..., Any]) -> tuple[Experiment, list[Selector]]:
    if isinstance(target, Task):
        return experiment_of_task(target), []
    parsed = parse_target(target)
    return collect(parsed.path), [parsed.selector] if parsed.selector is not None else []
