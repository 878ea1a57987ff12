"""CPU of a recording and of its replay, for each case, start-up taken off. Prints one line a size.

    python benchmarks/replay.py 1000 10000

Needs the `test` extra. A deterministic service runs as a process of its own on 127.0.0.1 and is not counted. The times
are the CPU times (user and system) of the `llmbatch exp` process, which are what can be compared on a shared machine.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.fault_server import FaultServer
from tests.support.project import Project, commits

ABOUT_A_KILOBYTE = "a commit message of a certain length that says what was changed, where, and why " * 12


def cpu_seconds(project: Project, *arguments: str) -> float:
    """Return the CPU seconds of one `llmbatch exp`. Raises RuntimeError when it fails."""
    before = os.times()
    finished = project.exp("--model", "service/model-a", "--quiet", *arguments)
    after = os.times()
    if finished.code != 0:
        raise RuntimeError(finished.err)
    return (after.children_user - before.children_user) + (after.children_system - before.children_system)


def main() -> None:
    """Measure each size named on the command line."""
    sizes = [int(text) for text in sys.argv[1:]] or [1000, 10_000]
    print(f"{'cases':>8} {'recorded ms/case':>17} {'replayed ms/case':>17} {'start-up s':>11}")
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder, FaultServer() as server:
            project = Project(Path(folder), server.base_url)
            project.write_samples(commits(size, text=ABOUT_A_KILOBYTE))
            recorded = cpu_seconds(project)
            replayed = min(cpu_seconds(project, "--offline") for _ in range(3))
            start_up = min(cpu_seconds(project, "--offline", "--limit", "1") for _ in range(3))
        per_case = [1000 * (seconds - start_up) / size for seconds in (recorded, replayed)]
        print(f"{size:>8,} {per_case[0]:>17.3f} {per_case[1]:>17.3f} {start_up:>11.2f}", flush=True)


if __name__ == "__main__":
    main()
