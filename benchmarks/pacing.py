"""How well a limit a minute is kept, as a server sees it, and what keeping it costs.

    python benchmarks/pacing.py windows --rpm 3000 --seconds 75       # the worst second and minute; about 5 minutes
    python benchmarks/pacing.py cost                                  # CPU of a call in the room of pacing; seconds

`windows` starts real runs of `llmbatch exp` with one key against a server that notes when each call arrives: one run;
three at once; three of which one is stopped for five seconds and another killed. A minute's window needs more than a
minute of calls. `cost` lets 32 tasks be admitted, settled and released in turn, with nothing in between, and takes off
what the bare loop costs; limits are set so high that nobody waits for them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.support import REPLY_HEADERS
from llmbatch.call.values import Reply
from llmbatch.config import Endpoint
from llmbatch.pacing import Pacing, SharedLedger, Surroundings
from llmbatch.policy import Verdict
from tests.support.fault_server import FaultServer
from tests.support.project import Project, commits

KEY = "benchmark-key-that-is-none"
STOPPED_SECONDS = 5.0
BODY = b'{"model":"m","messages":[{"role":"user","content":"' + b"x" * 1000 + b'"}],"max_tokens":500}'
REPLY = Reply(
    200,
    "OK",
    REPLY_HEADERS,
    b'{"choices":[{"message":{"content":"' + b"y" * 1500 + b'"}}],'
    b'"usage":{"prompt_tokens":250,"completion_tokens":100,"total_tokens":350}}',
)
GOOD = Verdict(final=True)


def started(folder: Path, base_url: str, calls: int, rpm: int) -> subprocess.Popen[str]:
    """Start a run of so many calls that shares its limits with those whose folder is beside its own."""
    project = Project(folder, base_url, key=KEY)
    project.environ["TMPDIR"] = str(folder.parent)
    project.write_samples(commits(calls, text=folder.name))
    return project.start("--model", "service/model-a", "--rpm", str(rpm), "-q")


def measure(name: str, rpm: int, seconds: float, runs: int, *, disturbed: bool = False) -> None:
    """Let runs share a limit for so many seconds, and print what the server saw."""
    calls = int(rpm / 60 * seconds) // runs
    with FaultServer(latency_ms=50) as server, tempfile.TemporaryDirectory() as folder:
        processes = [started(Path(folder) / f"run{number}", server.base_url, calls, rpm) for number in range(runs)]
        if disturbed:
            disturb(processes, server, calls * runs)
        for process in processes:
            process.communicate()
        truth = server.truth()
    second, minute = truth["max_in_one_second"], truth["max_in_one_minute"]
    shares = f"{second:>7} {second / (rpm / 60):>6.2f} {minute:>7} {minute / rpm:>6.2f}"
    codes = " ".join(str(process.returncode) for process in processes)
    print(f"{name:<42} {truth['calls']:>6} {shares}   {codes}", flush=True)


def disturb(processes: Sequence[subprocess.Popen[str]], server: FaultServer, calls: int) -> None:
    """Stop the first run for a while after a quarter of the calls, and kill the last after half of them."""
    until(server, calls // 4)
    os.kill(processes[0].pid, signal.SIGSTOP)
    time.sleep(STOPPED_SECONDS)
    os.kill(processes[0].pid, signal.SIGCONT)
    until(server, calls // 2)
    processes[-1].kill()


def until(server: FaultServer, calls: int) -> None:
    """Return when the server has seen so many calls."""
    while server.truth()["calls"] < calls:
        time.sleep(0.05)


def print_windows(rpm: int, seconds: float) -> None:
    """Print the worst second and the worst minute of each scene, and their shares of the limit."""
    print(f"{rpm:,} requests a minute, {rpm / 60:g} a second; shares of the limit; exit codes")
    print(f"{'':<42} {'calls':>6} {'second':>7} {'share':>6} {'minute':>7} {'share':>6}")
    measure("one run", rpm, seconds, 1)
    measure("three runs, one key", rpm, seconds, 3)
    measure("three runs, one stopped 5 s, one killed", rpm, seconds, 3, disturbed=True)


async def microseconds_a_call(pacing: Pacing | None, endpoint: Endpoint, calls: int) -> float:
    """Return the CPU of a call that is admitted, settled and released; of the bare loop without a pacing."""
    numbers = iter(range(calls))

    async def work() -> None:
        for number in numbers:
            if pacing is not None:
                slot = await pacing.admit(endpoint, "m", BODY)
                slot.settle(GOOD, REPLY)
                slot.release()
            if number % 8 == 0:
                await asyncio.sleep(0)

    before = time.process_time()
    await asyncio.gather(*(work() for _ in range(32)))
    return 1e6 * (time.process_time() - before) / calls


def cost(rpm: int | None, tpm: int | None, calls: int) -> float:
    """Return the least of three rounds for a run with these limits, shared where there are any."""

    async def one_round() -> float:
        endpoint = Endpoint("service", "http://127.0.0.1:9/v1", rpm=rpm, tpm=tpm)
        bare = await microseconds_a_call(None, endpoint, calls)
        with tempfile.TemporaryDirectory() as folder:
            pacing = Pacing(64, Surroundings(SharedLedger(partial(Path, folder), note=print)))
            await microseconds_a_call(pacing, endpoint, 100)
            spent = await microseconds_a_call(pacing, endpoint, calls)
            await pacing.close()
        return spent - bare

    return min(asyncio.run(one_round()) for _ in range(3))


def print_cost(calls: int) -> None:
    """Print the CPU of a call for each set of limits."""
    for name, rpm, tpm in (
        ("no limit", None, None),
        ("rpm, shared", 6_000_000, None),
        ("rpm and tpm, shared", 6_000_000, 4_000_000_000),
    ):
        print(f"{name:<22} {cost(rpm, tpm, calls):5.1f} us CPU a call", flush=True)


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["windows", "cost"], default="windows")
    parser.add_argument("--rpm", type=int, default=3000)
    parser.add_argument("--seconds", type=float, default=75.0)
    parser.add_argument("--calls", type=int, default=50_000)
    options = parser.parse_args()
    if options.what == "cost":
        print_cost(options.calls)
    else:
        print_windows(options.rpm, options.seconds)


if __name__ == "__main__":
    main()
