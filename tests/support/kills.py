"""Killing the real command line by the server's count, or at a call that changes the cassette; never by time."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import orjson

from llmbatch.cassette.store import Store
from llmbatch.tables.write import VOLATILE_COLUMNS, frame_digest
from tests.support.fault_server import FaultServer
from tests.support.project import Finished, Project, commits
from tests.support.waiting import until

DYING = Path(__file__).with_name("dying.py")
KILLED = -9
CONCURRENCY = 8
EVERY = ("--concurrency", str(CONCURRENCY))


def has_answered(server: FaultServer, count: int) -> bool:
    """Whether the server has answered that often."""
    return int(server.truth()["answered"]) >= count


def digest(project: Project) -> str:
    """Return the digest of the newest run's rows, without what two recordings may differ in."""
    return frame_digest(project.rows(), without=VOLATILE_COLUMNS)


def undisturbed(folder: Path, number: int) -> str:
    """Return the digest of the rows of a run that nothing happened to."""
    with FaultServer() as calm:
        project = Project(folder, calm.base_url)
        project.write_samples(commits(number))
        finished = project.exp()
        assert finished.code == 0, finished.err
        return digest(project)


def recorded(project: Project) -> set[str]:
    """Return what is in the cassette, by the key under which the server counts it."""
    with Store(project.cassette) as store:
        bodies = [orjson.loads(each.call.request.body or b"{}") for each in store]
    canonical = [b"/v1/chat/completions\0" + orjson.dumps(dict(sorted(body.items()))) for body in bodies]
    return {hashlib.sha256(each).hexdigest()[:32] for each in canonical}


def dying(root: Path, folder: Path, point: str, arguments: Sequence[str], *, segment_bytes: int = 0) -> Finished:
    """Run `llmbatch ARGUMENTS` until the point (as `half write segment 3`), where it is killed, or to its end."""
    words = [word.replace("-folder", " folder") for word in point.split()]
    small = ["--segment-bytes", str(segment_bytes)] if segment_bytes else []
    command = [sys.executable, str(DYING), str(folder), *words, *small, "--", *arguments]
    kept = ("PATH", "HOME", "TMP", "TEMP", "COVERAGE_PROCESS_START")
    environ = {name: os.environ[name] for name in kept if name in os.environ}
    run = subprocess.run(
        command, cwd=root, env=environ, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False
    )
    return Finished(run.returncode, run.stdout, run.stderr)


@dataclass
class Ledger:
    """What the server was asked for, held against what the cassette held at each kill."""

    project: Project
    server: FaultServer
    kills: int = 0
    lost: int = 0
    """Answers that the server gave and that no kill left in the cassette."""
    paid_twice: int = 0
    """Calls made again for what was on its way at a kill."""
    _calls_when_recorded: dict[str, int] = field(default_factory=dict)

    def take_stock(self, *, killed: bool) -> None:
        """Look at both sides after a kill or at the end. Asserts that nothing recorded is gone or asked again."""
        self.kills += killed
        truth, there = self.server.truth(), recorded(self.project)
        calls = truth["attempts"]
        assert set() == set(self._calls_when_recorded) - there
        for key in there:
            assert self._calls_when_recorded.setdefault(key, calls[key]) == calls[key], "recorded, and asked again"
        self.lost = truth["answered"] - len(there)
        self.paid_twice = sum(times - 1 for times in calls.values())
        assert max(self.lost, self.paid_twice) <= CONCURRENCY * self.kills


def kill_loop(folder: Path, kills: int, seed: int) -> Ledger:
    """Kill one study that often, after a random number of further answers each, and then let it end.

    Asserts that nothing recorded is asked again or lost, and that the rows are those of an undisturbed run.
    """
    dice = random.Random(seed)
    answers = [dice.randint(1, 2 * CONCURRENCY) for _ in range(kills)]
    number = (sum(answers) + CONCURRENCY * kills) // 2 + 1  # two calls a sample; some come while the kill is on its way
    with FaultServer(latency_ms=20) as server:
        project = Project(folder / "project", server.base_url)
        project.write_samples(commits(number))
        ledger = Ledger(project, server)
        for more in answers:
            goal = server.truth()["answered"] + more
            with project.start(*EVERY) as process:
                until(partial(has_answered, server, goal), process)
                process.kill()
            ledger.take_stock(killed=True)
        finished = project.exp(*EVERY)
        ledger.take_stock(killed=False)
    with Store(project.cassette) as store:
        assert (2 * number, []) == (len(store), store.verify())
    assert finished.code == 0, finished.err
    assert undisturbed(folder / "calm", number) == digest(project)
    return ledger
