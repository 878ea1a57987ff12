"""Any order of runs, kills, interrupts, torn tails, full disks and replays of one study, held against a dictionary.

`LLMBATCH_TEST_EXAMPLES=1000 python -m pytest tests/chaos/test_machine.py` tries longer; each step is a real process.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Event

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from llmbatch.cassette.store import Store
from tests.chaos.measuring import IMPORTS, TASKS
from tests.chaos.warm import start
from tests.support.fault_server import FaultServer
from tests.support.project import Project

EXAMPLES = int(os.environ.get("LLMBATCH_TEST_EXAMPLES", "2"))
STEPS = 7
SAMPLES = 12
CONCURRENCY = 3
NAMES = [f"s{number:02}" for number in range(SAMPLES)]
LONGEST_SECONDS = 60.0
LEAST_ROOM_BYTES = 30_000
"""Rows, tables and what is printed must be written too; to leave no room for these would say nothing of answers."""

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(sys.platform != "linux", reason="limits and forks as Linux has them"),
]


class Study(RuleBasedStateMachine):
    """`answers` has the body of each sample that is recorded, `calls` how often it was asked for by then."""

    server: FaultServer

    def __init__(self) -> None:
        super().__init__()
        self.server.reset()
        self.folder = Path(tempfile.mkdtemp())
        self.project = Project(self.folder, self.server.base_url, settings="max_retries = 4")
        self.project.write_experiment(IMPORTS + TASKS["ask"].replace("ask.jsonl", "commits.jsonl"))
        self.project.write_samples([{"id": name, "message": f"[[label={name}]] change {name}"} for name in NAMES])
        self.answers: dict[str, bytes] = {}
        self.calls: dict[str, int] = {}
        self.at_risk = 0
        """How many calls may have been made in vain: what was on its way whenever a run ended before its time."""

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    # what happens ----------------------------------------------------------------------------------------

    @rule(limit=st.integers(1, SAMPLES))
    def run(self, limit: int) -> None:
        code = self._exp("--limit", str(limit))
        self._take_stock()

        assert code == 0, self._said()
        assert set(NAMES[:limit]) <= set(self.answers)

    @rule(answers=st.integers(0, SAMPLES), how=st.sampled_from([signal.SIGKILL, signal.SIGINT, signal.SIGTERM]))
    def end_early(self, answers: int, how: signal.Signals) -> None:
        goal = self.server.truth()["answered"] + answers
        process = self._start()
        pause = Event()
        while process.is_alive() and self.server.truth()["answered"] < goal:
            pause.wait(0.005)
        with suppress(ProcessLookupError):  # it may have ended meanwhile
            os.kill(process.pid or 0, how)
        code = self._ended(process)
        self.at_risk += CONCURRENCY
        self._take_stock()

        assert code in {0, 2, -how}, self._said()

    @rule(room=st.integers(0, 6_000))
    def fill_the_disk(self, room: int) -> None:
        largest = max((path.stat().st_size for path in self.project.cassette.glob("*.yaml")), default=0)
        code = self._exp(largest_file=max(largest, LEAST_ROOM_BYTES) + room)
        self.at_risk += CONCURRENCY
        self._take_stock()

        assert code in {0, 7}, self._said()

    @rule(cut=st.integers(1, 2_000))
    def tear_the_tail(self, cut: int) -> None:
        if not self.answers:  # no precondition: what a kill leaves is not the same each time
            return
        last = max(self.project.cassette.glob("segment-*.yaml"))
        content = last.read_bytes()
        head = content.index(b"- {")
        before = [line for line in content[head:].splitlines(keepends=True) if line.endswith(b"\n")]
        last.write_bytes(content[: max(head, len(content) - cut)])
        whole = [line for line in last.read_bytes()[head:].splitlines(keepends=True) if line.endswith(b"\n")]
        there = self._recorded()

        assert before[: len(whole)] == whole
        assert len(there) == len(self.answers) - (len(before) - len(whole))
        assert there.items() <= self.answers.items()
        self.at_risk += len(self.answers) - len(there)
        self.answers = there

    @rule()
    def replay(self) -> None:
        calls = self.server.truth()["calls"]
        code = self._exp("--offline")
        statuses = dict(self.project.rows().select("llmbatch_sample", "llmbatch_status").rows())

        assert code == int(len(self.answers) < SAMPLES), self._said()
        assert {name for name, status in statuses.items() if status == "ok"} == set(self.answers)
        assert list(statuses) == NAMES
        assert self.server.truth()["calls"] == calls

    # what is held against the dictionary -----------------------------------------------------------------

    def _take_stock(self) -> None:
        there, labels = self._recorded(), self.server.truth()["labels"]

        assert self.answers.items() <= there.items()
        assert all(labels[name][0] == self.calls[name] for name in self.answers)
        assert sum(max(0, billed - 1) for _, billed in labels.values()) <= self.at_risk
        self.answers = there
        self.calls = {name: labels[name][0] for name in there}

    def _recorded(self) -> dict[str, bytes]:
        if not list(self.project.cassette.glob("segment-*.yaml")):
            return {}
        with Store(self.project.cassette) as store:
            return {(each.case or "").rpartition("::")[2]: each.reply.body for each in store}

    def _exp(self, *arguments: str, largest_file: int | None = None) -> int:
        return self._ended(self._start(*arguments, largest_file=largest_file))

    def _start(self, *arguments: str, largest_file: int | None = None) -> BaseProcess:
        command = ("exp", "experiments/study.py", "--concurrency", str(CONCURRENCY), "--window", "6", *arguments)
        return start(self.folder, self.project.environ, *command, largest_file=largest_file)

    def _ended(self, process: BaseProcess) -> int:
        process.join(LONGEST_SECONDS)
        code = process.exitcode
        if code is None:
            process.kill()
            raise AssertionError(f"it did not end: {self._said()}")
        return code

    def _said(self) -> str:
        return (self.folder / "said.txt").read_text(encoding="utf-8")[-3_000:]


@pytest.fixture(scope="module")
def quick() -> Iterator[FaultServer]:
    """A server that fails only at what costs no time."""
    with FaultServer(latency_ms=5) as server:
        yield server


def test_no_order_of_events_loses_an_answer_or_pays_for_one_twice(quick: FaultServer) -> None:
    """But for what was on its way when a run ended before its time."""
    Study.server = quick
    few = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        phases=[Phase.generate],  # a kill never comes at the same moment again, so there is nothing to shrink
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Study, settings=few)
