"""The first and the last event of a run, whatever ends it: a run without an `end` goes on, or was killed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from llmbatch.cassette.lock import this_process
from llmbatch.errors import ExitCode, LlmbatchError
from llmbatch.invocation.prepared import Prepared
from llmbatch.runlog import RUN_LOG, RunLog
from llmbatch.runner.counters import Counters


@dataclass(slots=True)
class Ending:
    """How a run ends, filled in by whoever knows."""

    exit_code: ExitCode = ExitCode.OUR_BUG
    message: str | None = None


@contextmanager
def logged(
    prepared: Prepared, folder: Path, total: int, counters: Counters, scrub: Callable[[str], str]
) -> Iterator[tuple[RunLog, Ending]]:
    """Open the run log in the run's folder, tell it how the run began, and at the end how it ended."""
    ending = Ending()
    started = time.monotonic()
    with RunLog(folder / RUN_LOG, scrub) as log:
        _tell_start(log, prepared, total)
        try:
            yield log, ending
        except BaseException as error:
            if isinstance(error, LlmbatchError):
                ending.exit_code = error.exit_code
            ending.message = ending.message or (
                error.report() if isinstance(error, LlmbatchError) else f"{type(error).__name__}: {error}"
            )
            raise
        finally:
            log.write(
                "end",
                exit_code=int(ending.exit_code),
                message=ending.message,
                duration_seconds=round(time.monotonic() - started, 3),
                cases=total,
                done=counters.done,
                failed=counters.failed,
                paid=counters.paid,
                cached=counters.cached,
                tokens_in=counters.tokens_in,
                tokens_out=counters.tokens_out,
                cost_usd=counters.cost_usd,
            )


def _tell_start(log: RunLog, prepared: Prepared, total: int) -> None:
    process = this_process()
    log.write(
        "start",
        experiment=prepared.experiment.name,
        file=str(prepared.experiment.path),
        variants=[task.title(variant) for task in prepared.plan.tasks for variant in task.variants],
        cases=total,
        mode=prepared.mode.mode,
        mode_origin=prepared.mode.origin,
        cassette=str(prepared.cassette),
        options={name: [value, origin] for name, (value, origin) in prepared.options().items()},
        concurrency=prepared.concurrency,
        window=prepared.window,
        llmbatch=version("llmbatch"),
        pid=process["pid"],
        host=process["host"],
        boot_id=process["boot_id"],
    )
