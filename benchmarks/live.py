"""CPU of a paid, recorded call beside what others take, in one run. Prints one line a peer and concurrency.

    pip install -r benchmarks/peers.txt
    python benchmarks/live.py                         # llmbatch, aiohttp, openai, langchain at concurrency 64 and 256
    python benchmarks/live.py --peers llmbatch,aiohttp --rounds 5
    python benchmarks/live.py --memory 50000          # memory and open files over so many calls; Linux

The times are CPU times (user and system) of the process, the least of the rounds, which are what can be compared on a
shared machine. Of each peer a run with few calls is taken off, so start-up and imports do not count; those of
llmbatch are whole runs of `llmbatch exp`: reading samples, asking, recording, rows, tables. The server is a process of
its own that does next to nothing (benchmarks/fast_server.py). Only llmbatch, and LangChain's cache, keep anything.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.fast_server import FastServer
from benchmarks.support import write_samples
from tests.support.project import KEY_VARIABLE, Project

HERE = Path(__file__).resolve().parent
MODEL = "service/model-a"
KEY = "benchmark-key-that-is-none"
MAIN = "import sys; from llmbatch.cli import main; sys.exit(main())"
NEEDS = {"llmbatch": "llmbatch", "aiohttp": "aiohttp", "openai": "openai", "langchain": "langchain_community"}
SHARE = {"openai": 5, "langchain": 10}
"""Of what takes so much longer, a part of the calls tells as much."""
BYTES_OF_A_PAGE = 4096


@contextmanager
def started(command: list[str], root: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process whose output is read only if it fails. Raises RuntimeError then."""
    environ = {**os.environ, KEY_VARIABLE: KEY}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryFile() as said:
        with subprocess.Popen(command, cwd=root, env=environ, stdout=said, stderr=said) as process:  # noqa: S603 - ours
            yield process
        if process.returncode != 0:
            said.seek(0)
            raise RuntimeError(said.read().decode("utf-8", "replace")[-2000:])


def cpu_seconds(command: list[str], root: Path | None = None) -> float:
    """Return the CPU time of a process, from its start to its end."""
    with started(command, root) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


def command_of_llmbatch(concurrency: int) -> list[str]:
    """Return the command that asks each sample of the project once."""
    options = ["--model", MODEL, "--concurrency", str(concurrency), "--quiet"]
    options += ["--allow-unstable"]  # the look of a second process costs half a second a run, however many calls it has
    return [sys.executable, "-c", MAIN, "exp", "experiments/study.py", *options]


@contextmanager
def project_of(calls: int, base_url: str) -> Iterator[Project]:
    """Yield a project with so many samples, each of about a kilobyte, and an empty cassette."""
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder), base_url, key=KEY)
        write_samples(project, calls)
        yield project


def seconds_of(peer: str, base_url: str, calls: int, concurrency: int) -> float:
    """Return the CPU time of a peer's process for so many calls."""
    if peer == "llmbatch":
        with project_of(calls, base_url) as project:
            return cpu_seconds(command_of_llmbatch(concurrency), project.root)
    script = str(HERE / "live_peers.py")
    return cpu_seconds([sys.executable, script, peer, base_url, str(calls), str(concurrency)])


def milliseconds_a_call(peer: str, base_url: str, calls: int, concurrency: int) -> float:
    """Return the CPU of one call, start-up and the opening of connections taken off."""
    calls, few = calls // SHARE.get(peer, 1), concurrency
    more = seconds_of(peer, base_url, calls + few, concurrency)
    return 1000 * (more - seconds_of(peer, base_url, few, concurrency)) / calls


class Held(NamedTuple):
    """What a process held at one moment: megabytes of memory, open files; and how far its cassette was."""

    recorded: int
    megabytes: float
    open_files: int


def held_over_time(calls: int, base_url: str, concurrency: int) -> list[Held]:
    """Return what a recording of so many calls held, four times a second until the last answer is recorded."""
    seen: list[Held] = []
    with project_of(calls, base_url) as project, started(command_of_llmbatch(concurrency), project.root) as process:
        about = Path(f"/proc/{process.pid}")
        while process.poll() is None:
            try:
                pages = int((about / "statm").read_text().split()[1])
                files = len(list((about / "fd").iterdir()))
            except OSError:
                break  # it has just ended
            recorded = sum(path.stat().st_size for path in project.cassette.glob("segment-*.yaml"))
            seen.append(Held(recorded, pages * BYTES_OF_A_PAGE / 1e6, files))
            time.sleep(0.25)
    return [held for held in seen if 0 < held.recorded < seen[-1].recorded]


def print_memory(calls: int, base_url: str, concurrency: int) -> None:
    """Print what was held when a tenth of the calls was recorded, and at the most afterwards."""
    held = held_over_time(calls, base_url, concurrency)
    tenth = next(each for each in held if each.recorded >= held[-1].recorded / 10)
    later = [each for each in held if each.recorded >= tenth.recorded]
    most, files = max(each.megabytes for each in later), [each.open_files for each in later]
    print(
        f"{calls:,} calls at concurrency {concurrency}: {tenth.megabytes:.0f} MB after a tenth, {most:.0f} MB at most "
        f"(+{most - tenth.megabytes:.0f}), {later[-1].megabytes:.0f} MB at the last; "
        f"open files {min(files)} to {max(files)}"
    )


def last_error_line(error: RuntimeError) -> str:
    """Return the line of a traceback that says what happened."""
    lines = [line for line in str(error).splitlines() if "Error" in line and not line.startswith(" ")]
    return lines[-1][:100] if lines else "it does not say why"


def print_times(peers: list[str], base_url: str, options: argparse.Namespace) -> None:
    """Print the table, peers in turns so that each round sees the same machine."""
    print(f"{'peer':<12} {'concurrency':>11} {'CPU ms/call':>11} {'to aiohttp':>10} {'calls/s/core':>12}   each round")
    for concurrency in options.concurrency:
        rounds: dict[str, list[float]] = {peer: [] for peer in peers}
        for _ in range(options.rounds):
            for peer in peers:
                try:
                    rounds[peer].append(milliseconds_a_call(peer, base_url, options.calls, concurrency))
                except RuntimeError as error:  # LangChain's cache is locked now and then
                    print(f"{peer} died: {last_error_line(error)}", flush=True)
        floor = min(rounds["aiohttp"]) if rounds.get("aiohttp") else float("nan")
        for peer, each in rounds.items():
            best = min(each, default=float("nan"))
            spread = " ".join(f"{milliseconds:.3f}" for milliseconds in each)
            print(
                f"{peer:<12} {concurrency:>11} {best:>11.3f} {best / floor:>10.1f} {1000 / best:>12,.0f}   {spread}",
                flush=True,
            )


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--concurrency", type=int, nargs="*", default=[64, 256])
    parser.add_argument("--peers", default=",".join(NEEDS), help="names, separated by commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, default=0, metavar="CALLS", help="look at the memory over so many calls")
    parser.add_argument("--stated-limits", action="store_true", help="let replies state limits, which are kept to")
    options = parser.parse_args()
    asked = options.peers.split(",")
    peers = [peer for peer in asked if importlib.util.find_spec(NEEDS[peer]) is not None]
    if missing := set(asked) - set(peers):
        print(f"not installed: {', '.join(sorted(missing))} (pip install -r benchmarks/peers.txt)")
    with FastServer(states_limits=options.stated_limits) as server:
        if options.memory:
            print_memory(options.memory, server.base_url, options.concurrency[0])
        else:
            print_times(peers, server.base_url, options)


if __name__ == "__main__":
    main()
