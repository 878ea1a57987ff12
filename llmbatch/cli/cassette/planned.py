"""The flags by which a cassette's experiment is replayed as it was run, and the replay they make."""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmbatch.invocation.prepared import Prepared
    from llmbatch.invocation.watched import Listener, Watched
    from llmbatch.plan import Case


def add_run_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `exp` that change which calls there are."""
    parser.add_argument("--model", action="append", metavar="ENDPOINT/NAME", help="as in `llmbatch exp` (may repeat)")
    parser.add_argument("--repeat", type=int, metavar="N", help="as in `llmbatch exp`")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")


def prepared_of(target: str, options: argparse.Namespace, **more: object) -> Prepared:
    """Collect an experiment (`PATH`, `PATH::task[variant]`) and plan its run with nothing to call."""
    from llmbatch.collect import collect, parse_target  # noqa: PLC0415 - `--help` should not load it
    from llmbatch.invocation.options import settings_of  # noqa: PLC0415 - as above
    from llmbatch.invocation.prepared import prepare  # noqa: PLC0415 - as above

    parsed = parse_target(target)
    selectors = [parsed.selector] if parsed.selector is not None else []
    given = {"model": options.model, "repeat": options.repeat, "record_mode": "none", **more}
    return prepare(collect(parsed.path), selectors, settings_of(given), os.environ)


def run_command(target: str, options: argparse.Namespace) -> str:
    """Return the `llmbatch exp` that asks what these flags plan."""
    given = [("--cassette", options.cassette), ("--limit", options.limit), ("--repeat", options.repeat)]
    given += [("--model", model) for model in options.model or ()]
    return shlex.join(
        ["llmbatch", "exp", target, *(str(word) for pair in given if pair[1] is not None for word in pair)]
    )


def replay(
    prepared: Prepared, listener: Listener, *, quiet: bool, wanted: Callable[[Case], bool] = lambda case: True
) -> Watched:
    """Replay with progress on standard error. Raises what would end a run."""
    from llmbatch.invocation.watched import watched_replay  # noqa: PLC0415 - as above
    from llmbatch.report.display import open_progress  # noqa: PLC0415 - as above
    from llmbatch.runner.counters import Counters  # noqa: PLC0415 - as above

    counters = Counters()
    display = open_progress(counters, quiet=quiet)
    experiment = prepared.experiment
    display.start(prepared.plan.count(), experiment.name, experiment.path.name)
    return asyncio.run(watched_replay(prepared, listener, display, counters, wanted=wanted))


def shown(path: Path) -> str:
    """Return a path as short as it is clear."""
    here = Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else path.as_posix()
