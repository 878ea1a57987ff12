"""A prompt that changes by itself is caught early: what was just recorded is replayed by a second process.

That process begins with another hash seed, another state of chance and a later clock. A case that there misses its own
recording could never be replayed, and would be paid for again by every run; the run ends before thousands are.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from llmbatch.call.failure import Failure
from llmbatch.errors import TaskError
from llmbatch.invocation.prepared import Prepared
from llmbatch.plan import Case
from llmbatch.runlog import Log
from llmbatch.runner.stop import Stop

CASES = 3
"""How many cases of a task, the first that were paid for and answered, are looked at."""
MANY = 100
"""Only where at least so many cases are still to be run: fewer are paid for before a process has started."""
MOST_MEANWHILE = 500
"""How many answers may be paid for while the second process is at it; those on their way come on top."""
WAIT_SECONDS = 60.0
LOOK_SECONDS = 0.25
"""How soon a case that is held back notices that it may go on."""


@dataclass(slots=True)
class SecondLook:
    """Starts the second process once for each task, beside the run; holds cases back if it takes long."""

    prepared: Prepared
    total: int
    stop: Stop
    log: Log
    note: Callable[[str], None]
    is_holding: bool = False
    _started: set[str] = field(default_factory=set)
    _first: dict[str, list[Case]] = field(default_factory=dict)
    _finished: int = 0
    _meanwhile: int = 0
    _process: subprocess.Popen[bytes] | None = None
    _looking: asyncio.Task[None] | None = None

    def paid(self, case: Case, failure: Failure | None, answers: int) -> None:
        """Take note of a case that was paid for, by so many answers; it has a row."""
        if self._looking is not None and not self._looking.done():
            self._meanwhile += answers
            self.is_holding = self._meanwhile >= MOST_MEANWHILE
            return
        name = case.task.name
        if name in self._started or (failure is not None and not failure.kind.is_result):
            return
        first = self._first.setdefault(name, [])
        first.append(case)
        if len(first) >= CASES:
            self._started.add(name)
            self._look_at(self._first.pop(name))

    def finished(self) -> None:
        """Count a case that has a row, paid for or not."""
        self._finished += 1

    async def wait(self) -> None:
        """Wait while `is_holding`, and no longer than the run goes on."""
        while self.is_holding and not await self.stop.sleep(LOOK_SECONDS):
            pass

    async def close(self) -> None:
        """Wait for the second process. The end of the run, also one that comes meanwhile, is its end."""
        while self._looking is not None and not self._looking.done():
            if self.stop.requested and self._process is not None:
                self._process.kill()
            await asyncio.wait([self._looking], timeout=LOOK_SECONDS)

    def _look_at(self, cases: list[Case]) -> None:
        if self.total - self._finished < MANY:
            return
        if not self.prepared.experiment.is_file:
            self.note("prompts are not checked for changing by themselves: the task has no file to run it again from")
            return
        self._meanwhile = 0
        self._looking = asyncio.ensure_future(self._look(_order(self.prepared, cases)))

    async def _look(self, order: dict[str, Any]) -> None:
        try:
            self._process = _started(order)
            said, problem = await asyncio.to_thread(_heard, self._process, order)
        except (OSError, TypeError) as error:  # no interpreter: a program that is one file
            said, problem = "", f"{type(error).__name__}: {error}"
        finally:
            self._process = None
            self.is_holding = False
        if not self.stop.requested:
            self._judge(said, problem)

    def _judge(self, said: str, problem: str) -> None:
        try:
            found = json.loads(said)
            missed, failed = found["missed"], found["failed"]
        except (ValueError, LookupError, TypeError):
            self.note(f"whether prompts change by themselves could not be checked in a second process: {problem}")
            return
        for each in missed:
            self.log.write(
                "unstable", case=each["case"], part=each["part"], recorded=each["recorded"], asked=each["asked"]
            )
        if missed:
            self.stop.by_error(_unstable(missed[0]))
        for kind, example in failed.items():
            self.note(f"in a second process, which may not call or connect, a case ends in {kind}: {example}")


def _order(prepared: Prepared, cases: list[Case]) -> dict[str, Any]:
    settings = prepared.settings
    options = {"model": settings.model, "repeat": settings.repeat, "cassette": str(prepared.cassette.absolute())}
    return {
        "file": str(prepared.experiment.path),
        "variants": sorted({(case.task.name, case.variant.id) for case in cases}),
        "cases": [case.id for case in cases],
        "options": options,
    }


def _started(order: Mapping[str, Any]) -> subprocess.Popen[bytes]:
    """Start the process, which finds what this one finds when it imports; its hash seed is another."""
    environ = dict(os.environ)
    environ["PYTHONHASHSEED"] = "1" if os.environ.get("PYTHONHASHSEED") == "0" else "0"
    environ["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)  # noqa: PTH109 - as text
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "llmbatch.invocation.second_process"],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _heard(process: subprocess.Popen[bytes], order: Mapping[str, Any]) -> tuple[str, str]:
    """Hand over the order; return what the process said, and in one line why it said nothing."""
    with process:
        try:
            out, err = process.communicate(json.dumps(order).encode(), timeout=WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return "", f"it took longer than {WAIT_SECONDS:.0f} s"
        except OSError as error:
            process.kill()
            return "", str(error)
    lines = err.decode("utf-8", "replace").strip().splitlines()
    return out.decode("utf-8", "replace"), lines[-1] if lines else f"it ended with {process.returncode}"


def _unstable(missed: Mapping[str, Any]) -> TaskError:
    return TaskError(
        f"what {missed['case']} asks changes by itself: a second process asks something else than was just recorded",
        differs=f"{missed['part']}: {missed['change']}",
        why="a time, a random number or the order of a set is in it; every run would pay for it again, none replay it",
        fix="take it out, or give it an order (`sorted`) or a seed (the sample's id), and run again; "
        "--allow-unstable goes on all the same",
    )
