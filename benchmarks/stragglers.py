"""How close a run comes to the greedy schedule when service times are heavy-tailed, without hedging and with it.

    python benchmarks/stragglers.py                            # 5,000 calls at concurrency 256, three seeds, both tails
    python benchmarks/stragglers.py --calls 1000 --seeds 1     # a look

The greedy in-order schedule starts the next call the moment a slot is free and costs nothing: its length is computed
from the same drawn times, and is what nobody beats who sends each call once. `aiohttp` sends bodies and reads replies,
no more: what a machine that does other things beside allows in the same minutes. `llmbatch` is `llmbatch exp` with
`--no-hedge`, `hedging` without; all are processes of their own.

The time is taken by the server, from the first request to the last answer that a case was waiting for: start-up and
the writing of tables are left out, the first call, which goes alone, is in it. Nothing is scaled: the median is 0.5 s.
`extra` are the calls beyond one for each case, `won` those of them that answered first, `kept` the second answers and
given-up calls that are on record. The look at prompts that change by themselves is left out (`--allow-unstable`):
it starts a second process, and at 500 paid cases a run waits for that.
"""

from __future__ import annotations

import argparse
import heapq
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.heavy_tailed_server import TAILS, HeavyTailedServer, service_seconds
from benchmarks.support import write_samples
from llmbatch.cassette.store import Store
from tests.support.project import Project

ALWAYS = ("--model", "service/model-a", "--quiet", "--allow-unstable")
PEERS = Path(__file__).with_name("live_peers.py")


WAYS = ("aiohttp", "llmbatch", "hedging")


class Measured(NamedTuple):
    """One run: its seconds, what the server saw, and what the run says of its hedges."""

    seconds: float
    calls: int
    most_in_flight: int
    won: int = 0
    kept: int = 0


def greedy_seconds(times: list[float], slots: int) -> float:
    """Return how long the greedy in-order schedule takes: each call starts when the first slot is free."""
    free_at = [0.0] * slots
    for seconds in times:
        heapq.heapreplace(free_at, free_at[0] + seconds)
    return max(free_at)


def measure(way: str, tail: str, seed: int, calls: int, concurrency: int) -> Measured:
    """Run once against a fresh server. Raises RuntimeError where not every sample has its answer."""
    with HeavyTailedServer(tail, seed) as server, tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder), server.base_url)
        write_samples(project, calls)
        if way == "aiohttp":
            words = [str(PEERS), way, server.base_url, str(calls), str(concurrency)]
            said = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False).stderr  # noqa: S603
        else:
            options = ["--no-hedge"] if way == "llmbatch" else []
            said = project.exp(*ALWAYS, "--concurrency", str(concurrency), *options).err
        truth = server.truth()
        seen = Measured(truth["seconds"], truth["calls"], truth["most_in_flight"])
        if truth["samples"] != calls or seen.most_in_flight > concurrency:
            raise RuntimeError(said[-2000:])
        if way == "aiohttp":
            return seen
        with Store(project.cassette) as store:
            kept = sum(failure.kind == "duplicate" for failure in store.failures())
        return seen._replace(won=sum(event["won"] for event in hedges_of(project)), kept=kept)


def hedges_of(project: Project) -> list[dict[str, Any]]:
    """Return the hedges of the run log."""
    lines = (project.run_folders()[-1] / "run.jsonl").read_text(encoding="utf-8").splitlines()
    return [event for line in lines if (event := json.loads(line))["event"] == "hedge"]


def print_table(options: argparse.Namespace) -> None:
    """Print a line a tail, a seed and a way to run."""
    calls, slots = options.calls, options.concurrency
    print(f"{calls:,} calls, median 0.5 s, concurrency {slots}")
    print("tail       seed  greedy s  way             s  to greedy        extra   won  kept")
    for tail in options.tails.split(","):
        for seed in range(1, options.seeds + 1):
            best = greedy_seconds([service_seconds(tail, seed, sample, 0) for sample in range(calls)], slots)
            for way in WAYS:
                run = measure(way, tail, seed, calls, slots)
                extra = run.calls - calls
                print(
                    f"{tail:<10} {seed:>4} {best:>9.2f}  {way:<9} {run.seconds:>7.2f} {best / run.seconds:>10.3f} "
                    f"{extra:>5} ({extra / calls:>4.1%}) {run.won:>5} {run.kept:>5}",
                    flush=True,
                )


def main() -> None:
    """Measure what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--concurrency", type=int, default=256)
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds, from 1")
    parser.add_argument("--tails", default=",".join(TAILS), help="which service times, with commas between")
    print_table(parser.parse_args())


if __name__ == "__main__":
    main()
