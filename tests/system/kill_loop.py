"""The long kill loop: SIGKILL the real command line, by the server's count, and hold both sides against each other.

    python tests/system/kill_loop.py --kills 100 [--seed 1]

    python tests/system/kill_loop.py --folder OUT -- cassette merge A B --into OUT/MERGED

The second form kills any other command of llmbatch before, in the middle of and after each call in turn that changes
something in FOLDER, each time from a fresh copy of it, then runs it again and compares all files with those of a run
that nothing happened to.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support import waiting
from tests.support.kills import KILLED, dying, kill_loop

KILLS_A_STUDY = 25
MOMENTS = ("before", "half", "after")


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file in a folder, by its path there."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def sweep(folder: Path, arguments: list[str], scratch: Path) -> int:
    """Kill a command at every call that changes the folder; return how often. Asserts what the module says."""
    here, copy = Path.cwd(), scratch / "copy"
    if folder.exists():
        shutil.copytree(folder, copy)

    def start_afresh() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        if copy.exists():
            shutil.copytree(copy, folder)

    calm = dying(here, folder, "after none any 1", arguments)
    assert calm.code == 0, calm.err
    wanted = files_of(folder)
    kills = 0
    for moment in MOMENTS:
        number = 1
        while True:
            start_afresh()
            killed = dying(here, folder, f"{moment} any any {number}", arguments)
            if killed.code != KILLED:
                break
            kills += 1
            for lock in folder.rglob(".lock"):
                if not lock.read_bytes().endswith(b"}"):  # killed before it said whose it is: the error asks for this
                    lock.unlink()
            finished = dying(here, folder, "after none any 1", arguments)
            # a command that makes something new may refuse where it is there already, whole
            assert wanted == files_of(folder), f"{moment} call {number}: other files than without the kill: {finished}"
            number += 1
    return kills


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("arguments", nargs="*")
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        if options.arguments:
            print(f"{sweep(options.folder, options.arguments, Path(scratch))} kills, and the same files after each")
        else:
            waiting.LONGEST_SECONDS = 600.0
            paid_twice = 0
            for first in range(0, options.kills, KILLS_A_STUDY):
                seed, kills = options.seed + first, min(KILLS_A_STUDY, options.kills - first)
                ledger = kill_loop(Path(scratch) / str(first), kills, seed)
                paid_twice += ledger.paid_twice
                print(f"seed {seed}: {first + kills} kills, {time.monotonic() - started:.0f} s", flush=True)
            print(
                f"nothing recorded was asked again or lost; of what was on its way, {paid_twice} calls were made twice"
            )
    print(f"{time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
