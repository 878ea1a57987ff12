"""How close a run comes to the greedy schedule when service times are heavy-tailed, without hedging and with it.

    python benchmarks/stragglers.py                            # 5,000 calls at concurrency 256, three seeds, both tails
    python benchmarks/stragglers.py --calls 1000 --seeds 1     # a look

The greedy in-order schedule starts the next call the moment a slot is free and costs nothing: its length is computed
from the same drawn times, and is what a run without hedging cannot beat. Each run is `llmbatch exp` in a process of
its own. Its time is taken by the server, from the first request to the last answer that a case was waiting for, so that
start-up and the writing of tables are left out; the first calls, which go alone, are in it. Nothing is scaled: the
median is 0.5 s. `extra` are the calls beyond one for each case, `won` those of them that answered first, `kept` the
second answers and given-up calls that are on record.
"""

from __future__ import annotations

import argparse
import heapq
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.heavy_tailed_server import TAILS, HeavyTailedServer, service_seconds
from benchmarks.support import write_samples
from llmbatch.cassette.store import Store
from tests.support.project import Project

MODEL = "service/model-a"


class Measured(NamedTuple):
    """One run: its seconds, what the server saw, and what the run says of its hedges."""

    seconds: float
    calls: int
    most_in_flight: int
    won: int
    duplicates: int


def greedy_seconds(times: list[float], slots: int) -> float:
    """Return how long the greedy in-order schedule takes: each call starts when the first slot is free."""
    free_at = [0.0] * slots
    for seconds in times:
        heapq.heapreplace(free_at, free_at[0] + seconds)
    return max(free_at)


def measure(tail: str, seed: int, calls: int, concurrency: int, *, hedge: bool) -> Measured:
    """Run once against a fresh server. Raises RuntimeError where not every case has its answer."""
    with HeavyTailedServer(tail, seed) as server, tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder), server.base_url)
        write_samples(project, calls)
        options = [] if hedge else ["--no-hedge"]
        finished = project.exp("--model", MODEL, "--concurrency", str(concurrency), "--quiet", *options)
        truth = server.truth()
        if finished.code != 0 or truth["samples"] != calls:
            raise RuntimeError(finished.err[-2000:])
        events = hedges_of(project)
        with Store(project.cassette) as store:
            duplicates = sum(failure.kind == "duplicate" for failure in store.failures())
    won = sum(event["won"] for event in events)
    return Measured(truth["seconds"], truth["calls"], truth["most_in_flight"], won, duplicates)


def hedges_of(project: Project) -> list[dict[str, Any]]:
    """Return the hedges of the run log."""
    lines = (project.run_folders()[-1] / "run.jsonl").read_text(encoding="utf-8").splitlines()
    return [event for line in lines if (event := json.loads(line))["event"] == "hedge"]


def print_table(options: argparse.Namespace) -> None:
    """Print a line a tail, a seed and a way to run."""
    print(f"{options.calls:,} calls, median 0.5 s, concurrency {options.concurrency}")
    print("tail       seed  greedy s hedge       s  speed        extra  won  kept")
    for tail in options.tails.split(","):
        for seed in range(1, options.seeds + 1):
            times = [service_seconds(tail, seed, sample, 0) for sample in range(options.calls)]
            best = greedy_seconds(times, options.concurrency)
            for hedge in (False, True):
                run = measure(tail, seed, options.calls, options.concurrency, hedge=hedge)
                assert run.most_in_flight <= options.concurrency
                extra = run.calls - options.calls
                measured = f"{run.seconds:>7.2f} {best / run.seconds:>6.3f} {extra:>5} ({extra / options.calls:>4.1%})"
                way = f"{tail:<10} {seed:>4} {best:>9.2f} {'yes' if hedge else 'no':>5}"
                print(f"{way} {measured} {run.won:>4} {run.duplicates:>5}", flush=True)


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
