"""A run that stands still names the cases that wait, what for and since when; one that moves says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmbatch.collect import collect
from llmbatch.engine.stalls import Waiting
from llmbatch.invocation.stalling import LOOK_SECONDS, OWN_CODE, StallWatch
from llmbatch.plan import Case, build_plan
from llmbatch.runner.counters import Counters

EXPERIMENT = """
from llmbatch import task

@task(samples=[{"id": f"s{number}"} for number in range(9)], id="id")
def classify(sample):
    return {}
"""


class Calls:
    """What an engine knows of its calls, as a test wants it."""

    def __init__(self, *waiting: Waiting) -> None:
        self.answers = 0
        self.known = list(waiting)

    def late_after_seconds(self) -> float | None:
        return None

    def waiting(self, now: float) -> list[Waiting]:
        return list(self.known)


class Watched:
    """A watch over a run whose time a test moves; what is said is kept."""

    def __init__(self, running: Mapping[int, Case], calls: Calls) -> None:
        self.now = 0.0
        self.notes: list[str] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.counters = Counters()
        self.watch = StallWatch(
            running, calls, self.counters, note=self.notes.append, log=self, sleep=self.sleep, clock=lambda: self.now
        )

    def write(self, event: str, /, **details: Any) -> None:
        self.events.append((event, details))

    async def sleep(self, seconds: float) -> bool:
        self.now += seconds
        return self.now > 100.0

    def after(self, seconds: float) -> None:
        """Look as often as the watch does, until so much time has gone by."""
        until = self.now + seconds
        while self.now < until:
            self.now += LOOK_SECONDS
            self.watch.look()


def cases(tmp_path: Path) -> dict[int, Case]:
    path = tmp_path / "study.py"
    path.write_text(EXPERIMENT, encoding="utf-8")
    return {case.index: case for case in build_plan(collect(path))}


def test_the_cases_that_wait_are_named_with_what_for(tmp_path: Path) -> None:
    """Those whose calls are known by these, the others by their own code; who waits longest first."""
    running = cases(tmp_path)
    ids = [case.id for case in running.values()]
    watched = Watched(running, Calls(Waiting(ids[3], "service", 99.0), Waiting(ids[4], "its next try", 2.0)))

    watched.after(35.0)

    assert len(watched.notes) == 1
    note = watched.notes[0]
    assert note.startswith("nothing has finished for 30 s; waiting: 1 for its next try, ")
    assert f"7 for {OWN_CODE}, 1 for service: {ids[3]} (service, 99 s), {ids[0]} ({OWN_CODE}, 30 s)" in note
    assert watched.events == [("stall", {"cases": [ids[3], ids[0], ids[1], ids[2], ids[5]], "since_seconds": 30.0})]


def test_an_answer_or_a_row_shows_that_the_run_moves(tmp_path: Path) -> None:
    """A case of many calls may take long; each of its answers counts."""
    calls = Calls()
    watched = Watched(cases(tmp_path), calls)

    for _ in range(5):
        watched.after(25.0)
        calls.answers += 1
        watched.after(25.0)
        watched.counters.done += 1

    assert watched.notes == []


def test_where_no_case_is_running_nothing_stands(tmp_path: Path) -> None:
    """Between the last row and the tables, say."""
    watched = Watched({}, Calls())

    watched.after(300.0)

    assert watched.notes == []


def test_a_probe_that_waits_before_the_first_case_is_named() -> None:
    """It is no case of the plan, and all of them wait for it."""
    watched = Watched({}, Calls(Waiting("probe:e/m", "service", 31.0)))

    watched.after(35.0)

    assert watched.notes == ["nothing has finished for 30 s; waiting: 1 for service: probe:e/m (service, 31 s)"]


async def test_it_looks_until_the_run_has_ended(tmp_path: Path) -> None:
    """The sleep tells."""
    watched = Watched(cases(tmp_path), Calls())

    await watched.watch.watch()

    assert watched.now > 100.0
    assert [event for event, _ in watched.events] == ["stall", "stall"]
