"""Two real runs over one cassette, started together."""

from __future__ import annotations

import queue
import subprocess
import threading

import pytest

from llmbatch.cassette.store import Store
from tests.support.fault_server import FaultServer
from tests.support.project import EXPERIMENT, Project, commits

pytestmark = pytest.mark.system

WAITING = EXPERIMENT.replace(
    "    return await ask",
    "    while not Path('go').exists():\n        await asyncio.sleep(0.01)\n    return await ask",
).replace("from typing", "import asyncio\nfrom pathlib import Path\nfrom typing", 1)


def wait_for_first(processes: list[subprocess.Popen[str]]) -> subprocess.Popen[str]:
    """Return the process that ends first; the others are waited for by threads that end with them."""
    ended: queue.SimpleQueue[subprocess.Popen[str]] = queue.SimpleQueue()

    def wait(process: subprocess.Popen[str]) -> None:
        process.wait()
        ended.put(process)

    for each in processes:
        threading.Thread(target=wait, args=(each,), daemon=True).start()
    return ended.get(timeout=60)


def test_one_of_two_runs_records_and_the_other_names_it_and_ends(project: Project, server: FaultServer) -> None:
    """The loser exits with 4 and the winner's process id; the winner is not disturbed, and nothing is asked twice."""
    project.write_experiment(WAITING)
    project.write_samples(commits(5))
    with project.start() as one, project.start() as two:
        first = wait_for_first([one, two])
        winner, loser = (two, one) if first is one else (one, two)
        _, refused = loser.communicate(timeout=60)
        (project.root / "go").touch()
        _, said = winner.communicate(timeout=60)

    assert (winner.returncode, loser.returncode) == (0, 4), said + refused
    assert f"process {winner.pid} on this host" in refused
    assert "--offline" in refused
    assert [1] * 10 == list(server.truth()["attempts"].values())
    with Store(project.cassette) as store:
        assert (10, [], []) == (len(store), list(store.failures()), store.verify())
