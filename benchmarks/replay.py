"""CPU and memory of a replay: for each case, start-up taken off. Prints one line a size.

    python benchmarks/replay.py 1000 10000 100000
    python benchmarks/replay.py --recorded 1000      # and what it costs to record, against a service on 127.0.0.1

Needs the `test` extra; a million cases need 8 GB of disk in the folder for temporary files. The times are the CPU times
(user and system) of the `llmbatch exp` process, the least of three, which are what can be compared on a shared
machine; `limit` is what the same machine takes, in the same minute, for the template, the key, two parses and the
validation of one case in a loop of their own. Peak memory is that of the process. `to row` is the part of a case from
its template to its row in the table's columns on disk, in this process and of up to 20,000 cases, of each thousand the
least of five: reading samples, opening the cassette, Parquet and the built-in tables are not in it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.support import SHORTEST, record_all, write_samples
from llmbatch.asking.asker import Asker
from llmbatch.cassette.store import Store
from llmbatch.collect import collect
from llmbatch.invocation.collector import collecting_seldom
from llmbatch.invocation.models import Models
from llmbatch.invocation.opening import make_store
from llmbatch.invocation.options import settings_of
from llmbatch.invocation.prepared import prepare
from llmbatch.plan import Case
from llmbatch.prompt import Prompts
from llmbatch.runlog.log import RunLog
from llmbatch.runner.case import CaseRunner
from llmbatch.runner.counters import Counters
from llmbatch.runner.pool import run_window
from llmbatch.tables.spool import Spool
from tests.support.fault_server import FaultServer
from tests.support.project import Project, commits

MODEL = "service/model-a"
ROUNDS = 5
MAIN = "import sys; from llmbatch.cli import main; sys.exit(main())"


class Used(NamedTuple):
    """What one process used."""

    cpu_seconds: float
    peak_megabytes: float


def used_by(project: Project, *arguments: str) -> Used:
    """Return what one `llmbatch exp` used. Raises RuntimeError when it fails."""
    command = [sys.executable, "-c", MAIN, "exp", "experiments/study.py", "--model", MODEL, "--quiet", *arguments]
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, cwd=project.root, env=environ, stdout=said, stderr=said)  # noqa: S603 - ours
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            said.seek(0)
            raise RuntimeError(said.read().decode("utf-8", "replace"))
    return Used(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def least(project: Project, *arguments: str, times: int = 3) -> Used:
    """Return the least of several runs: the others were disturbed."""
    runs = [used_by(project, *arguments) for _ in range(times)]
    return Used(min(run.cpu_seconds for run in runs), max(run.peak_megabytes for run in runs))


def limit_milliseconds(repeats: int = 3000) -> float:
    """Return what one case takes without a harness."""
    best = float("inf")
    for _ in range(3):
        started = time.process_time()
        for _ in range(repeats):
            SHORTEST()
        best = min(best, time.process_time() - started)
    return 1000 * best / repeats


def row_milliseconds(project: Project, most: int = 20_000) -> float:
    """Return the CPU of a case from its template to its row: the run of the task, and the spool."""
    experiment = collect(project.root / "experiments" / "study.py")
    prepared = prepare(experiment, [], settings_of({"model": (MODEL,), "record_mode": "none"}), {})
    rounds: list[list[float]] = []
    with make_store(project.cassette, prepared.mode, prepared.plan, prepared.config, (), kind=Store) as store:
        models = Models(prepared.config, store.recorded_base_url, offline=True)
        models.of_plan(prepared.plan)
        with collecting_seldom(), RunLog(project.root / "benchmark.jsonl", str) as log:
            for _ in range(ROUNDS):
                asker = Asker(store, Prompts(experiment.base_folders), models.resolve)
                with ThreadPoolExecutor(1) as executor, Spool(project.root / "spooled") as spool:
                    runner = CaseRunner(asker, models.of_case, lambda model: None, executor, log, Counters())
                    cases = islice(iter(prepared.plan), most)
                    rounds.append(asyncio.run(_seconds_to_rows(runner, spool, cases)))
    least_seconds = sum(min(taken) for taken in zip(*rounds, strict=True))
    return 1000 * least_seconds / min(most, prepared.plan.count())


async def _seconds_to_rows(runner: CaseRunner, spool: Spool, cases: Iterator[Case]) -> list[float]:
    """Return the CPU seconds of each thousand cases, and of writing what is left to be written."""

    async def work(case: Case) -> None:
        done = await runner.run(case)
        spool.add_cells(case.index, *done.row)

    taken = []
    while some := list(islice(cases, 1000)):
        started = time.process_time()
        await run_window(some, work, window=1, may_start=lambda: True)
        taken.append(time.process_time() - started)
    started = time.process_time()
    spool.flush()
    return [*taken, time.process_time() - started]


def recorded_milliseconds(size: int) -> float:
    """Return the CPU of a live, recorded call, against a service of its own that is not counted."""
    with tempfile.TemporaryDirectory() as folder, FaultServer() as server:
        project = Project(Path(folder), server.base_url)
        project.write_samples(commits(size, text="a commit message that says what was changed, and why " * 19))
        whole = used_by(project)
        start_up = least(project, "--limit", "1")
    return 1000 * (whole.cpu_seconds - start_up.cpu_seconds) / size


def main() -> None:
    """Measure each size named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", type=int, default=[1000, 10_000])
    parser.add_argument("--recorded", action="store_true", help="measure a recording of each size as well")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        smallest = Project(Path(folder), "http://127.0.0.1:9/v1")
        write_samples(smallest, 1)
        record_all(smallest, MODEL)
        start_up = least(smallest, "--offline")
    print(f"start-up with one case: {start_up.cpu_seconds:.2f} s, {start_up.peak_megabytes:.0f} MB")
    print(f"{'cases':>10} {'ms/case':>8} {'to row':>7} {'limit':>7} {'cases/s':>8} {'peak MB':>8}")
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            project = Project(Path(folder), "http://127.0.0.1:9/v1")
            write_samples(project, size)
            record_all(project, MODEL)
            replayed = least(project, "--offline", times=3 if size <= 100_000 else 1)
            to_row = row_milliseconds(project)
        each = 1000 * (replayed.cpu_seconds - start_up.cpu_seconds) / size
        limit = limit_milliseconds()
        cpu = f"{each:>8.4f} {to_row:>7.4f} {limit:>7.4f}"
        print(f"{size:>10,} {cpu} {1000 / each:>8,.0f} {replayed.peak_megabytes:>8.0f}", flush=True)
        if options.recorded:
            print(f"{'recorded':>10} {recorded_milliseconds(size):>8.4f}", flush=True)


if __name__ == "__main__":
    main()
