"""What goes wrong in a scenario, and how it is played: the real command line over and over until the study is done."""

from __future__ import annotations

import random
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from llmbatch.cassette.store import Store
from tests.chaos.measuring import IMPORTS, TASKS
from tests.support.fault_server import FaultServer
from tests.support.kills import digest, has_answered, recorded
from tests.support.project import Finished, Project, commits
from tests.support.waiting import until

CONCURRENCY = 8
CANARY = "canary-value-of-a-key-0123456789"
"""The key of the endpoint: it must be in no file and in nothing that is printed."""
LATENCY_MS = 10.0
LIMITED = """
import resource, sys
size = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
from llmbatch.cli import main
sys.exit(main())
"""

End = Literal["kill", "interrupt", "terminate", "outage", "full disk", "torn tail"]
CODES: Mapping[End, frozenset[int]] = {
    "kill": frozenset({-signal.SIGKILL}),
    "torn tail": frozenset({-signal.SIGKILL}),
    "interrupt": frozenset({2}),
    "terminate": frozenset({2}),
    "outage": frozenset({1, 6}),
    "full disk": frozenset({7}),
}


@dataclass(frozen=True)
class Scenario:
    """The share of attempts that meet a seeded fault, and how each run before the last one ends."""

    name: str
    chaos: float = 0.0
    hangs: bool = False
    ends: tuple[End, ...] = ()
    service: str = ""


SCENARIOS = (
    Scenario("calm"),
    Scenario("bad weather", chaos=0.3),
    Scenario("storm", chaos=0.7),
    Scenario("silence", chaos=0.2, hangs=True, service="timeout_seconds = 2\n"),
    Scenario("kills", chaos=0.2, ends=("kill",) * 4),
    Scenario("torn tails", ends=("torn tail",) * 3),
    Scenario("Ctrl-C", chaos=0.2, ends=("interrupt", "interrupt")),
    Scenario("SIGTERM", ends=("terminate",)),
    Scenario("outage", ends=("outage",)),
    Scenario("full disk", chaos=0.2, ends=("full disk",)),
    Scenario("a limit", service="rpm = 1200\n"),
    Scenario("everything", chaos=0.3, ends=("kill", "interrupt", "torn tail", "outage", "full disk", "kill")),
)


@dataclass(frozen=True)
class Calm:
    """What a run that nothing happened to leaves: the digests of its rows and of its cassette."""

    rows: str
    cassette: str


@dataclass
class Played:
    """A scenario that was played to its end, with all that the checks look at."""

    scenario: Scenario
    project: Project
    samples: int
    calm: Calm
    ends: list[tuple[End, Finished]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """Answers that were recorded at the end of a run and no longer afterwards, or were asked again."""
    truth: dict[str, Any] = field(default_factory=dict)
    before: list[dict[str, Any]] = field(default_factory=list)
    """What the servers counted that an outage ended."""
    finished: Finished = field(default_factory=lambda: Finished(-1, "", ""))
    offline: Finished = field(default_factory=lambda: Finished(-1, "", ""))
    rows: bytes = b""
    replayed: bytes = b""
    _recorded: dict[str, int] = field(default_factory=dict)

    def take_stock(self, truth: Mapping[str, Any], *, torn: bool = False) -> None:
        """Hold what is in the cassette now against what was there before and against what the server was asked."""
        there, calls = recorded(self.project), truth["attempts"]
        if torn:  # the last line was cut off by hand
            self._recorded = {key: count for key, count in self._recorded.items() if key in there}
        self.lost += [f"{key} is gone" for key in self._recorded if key not in there]
        self.lost += [f"{key} was asked again" for key, count in self._recorded.items() if calls.get(key, 0) != count]
        self._recorded |= {key: calls.get(key, 0) for key in there}


def play(folder: Path, scenario: Scenario, *, samples: int, seed: int) -> Played:
    """Play a scenario in a folder: first in calm, then as it is, on the same port, so that keys are the same."""
    dice = random.Random(f"{seed}:{scenario.name}")
    with FaultServer(seed=str(seed)) as server:
        calm = _calm(_project(folder / "calm", server.base_url, samples))
        port = server.port
    options: dict[str, Any] = {"seed": str(seed), "chaos": scenario.chaos, "hangs": scenario.hangs, "port": port}
    with FaultServer(latency_ms=LATENCY_MS, **options) as server:
        project = _project(folder / "project", server.base_url, samples, scenario.service)
        played = Played(scenario, project, samples, calm)
        for end in scenario.ends:
            more = dice.randint(2, max(3, samples // (len(scenario.ends) + 1)))
            played.ends.append((end, _run_until(end, played, server, more, dice)))
            if end == "outage":  # the server is another process now; what it was asked before is forgotten
                played._recorded.clear()
            played.take_stock(server.truth(), torn=end == "torn tail")
        played.finished = project.exp("--concurrency", str(CONCURRENCY))
        played.rows = project.rows_file().read_bytes()
        played.truth = server.truth()
        played.take_stock(played.truth)
    played.offline = project.exp("--offline")
    played.replayed = project.rows_file().read_bytes()
    return played


def _project(root: Path, base_url: str, samples: int, service: str = "") -> Project:
    project = Project(root, base_url, key=CANARY, settings="max_retries = 3", service=service)
    project.write_experiment(IMPORTS + TASKS["ask"].replace("data/ask.jsonl", "data/commits.jsonl"))
    project.write_samples(commits(samples))
    return project


def _calm(project: Project) -> Calm:
    finished = project.exp("--concurrency", str(CONCURRENCY))
    assert finished.code == 0, finished.err
    return Calm(digest(project), content_digest(project))


def content_digest(project: Project) -> str:
    """Return the digest of what the cassette says."""
    with Store(project.cassette) as store:
        return store.content_digest()


def _run_until(end: End, played: Played, server: FaultServer, more: int, dice: random.Random) -> Finished:
    """Run until the server has given so many more answers, and end the run in its way."""
    project = played.project
    goal = server.truth()["answered"] + more
    if end == "full disk":
        size = max((path.stat().st_size for path in project.cassette.glob("*.yaml")), default=0)
        return _finished(project.start("--concurrency", str(CONCURRENCY), program=(LIMITED, str(size + 9_000))))
    process = project.start("--concurrency", str(CONCURRENCY))
    until(partial(has_answered, server, goal), process)
    match end:
        case "kill" | "torn tail":
            process.kill()
        case "interrupt":
            process.send_signal(signal.SIGINT)
        case "terminate":
            process.send_signal(signal.SIGTERM)
        case "outage":
            played.before.append(server.end())
    finished = _finished(process)
    if end == "torn tail":
        last = max(project.cassette.glob("segment-*.yaml"))
        content = last.read_bytes()
        last.write_bytes(content[: len(content) - dice.randint(1, 60)])
    if end == "outage":
        server.start()
    return finished


def _finished(process: subprocess.Popen[str]) -> Finished:
    with process:
        out, err = process.communicate(timeout=180)
    return Finished(process.returncode, out, err)
