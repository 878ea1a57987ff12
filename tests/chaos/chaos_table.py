"""The table of chaos: every scenario against the real command line, and what must hold after each.

python -m tests.chaos.chaos_table [--samples 120] [--seed 1] [--only "kills"]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.invariants import duplicates, violations
from tests.chaos.scenarios import SCENARIOS, play

COLUMNS = ("scenario", "calls", "billed", "duplicates", "rows", "digest equal", "runs", "seconds")
HEAD = f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", help="the name of a scenario; may repeat")
    options = parser.parse_args()
    broken = []
    print(HEAD, flush=True)
    for scenario in SCENARIOS:
        if options.only and scenario.name not in options.only:
            continue
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            played = play(Path(folder), scenario, samples=options.samples, seed=options.seed)
            found = violations(played)
        truth, is_equal = played.truth, not any(each.startswith("I8") for each in found)
        calls, billed = (sum(each[name] for each in [*played.before, truth]) for name in ("calls", "answered"))
        cells = (
            calls,
            billed,
            max(duplicates(played), billed - played.samples),
            played.samples,
            "yes" if is_equal else "NO",
        )
        runs = len(played.ends) + 1
        print(
            f"| {scenario.name} | {' | '.join(map(str, cells))} | {runs} | {time.monotonic() - started:.0f} |",
            flush=True,
        )
        broken += [f"{scenario.name}: {each}" for each in found]
    print("\n".join(broken) or "I1 to I10 hold in all of them")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
