"""What a whole replay does not do: import an SDK, or make a task for each case."""

from __future__ import annotations

import pytest

from tests.support.fault_server import FaultServer
from tests.support.project import Project, commits

pytestmark = pytest.mark.system

SITE = """
import asyncio
import atexit
import sys

made = 0
real = asyncio.Task

def counted(loop, coroutine, **options):
    global made
    made += 1
    return real(coroutine, loop=loop, **options)

class Policy(asyncio.DefaultEventLoopPolicy):
    def new_event_loop(self):
        loop = super().new_event_loop()
        loop.set_task_factory(counted)
        return loop

asyncio.set_event_loop_policy(Policy())

@atexit.register
def tell():
    sdk = [name for name in ("openai",) if name in sys.modules]
    print(f"tasks={made} sdk={sdk}", file=sys.stderr)
"""


def test_a_replay_imports_no_sdk_and_makes_no_task_a_case(project: Project, server: FaultServer) -> None:
    """The SDK takes most of a second to import, and a task ten times as long as a place in a pool of workers."""
    site = project.root / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITE, encoding="utf-8")
    project.write_samples(commits(150))
    live = project.exp("--model", "service/model-a")
    project.environ["PYTHONPATH"] = str(site)
    replay = project.exp("--model", "service/model-a", "--offline", "--concurrency", "4")

    assert (live.code, replay.code) == (0, 0), replay.err
    assert "150 from the cassette" in replay.err
    told = replay.err.split("tasks=")[1]
    assert int(told.split()[0]) < 40  # the window's workers, and a few of the run's own
    assert "openai" not in told
