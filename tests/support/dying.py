"""Run `llmbatch` over a disk that kills it: the process dies by SIGKILL at a chosen call that changes a folder.

    python tests/support/dying.py FOLDER MOMENT OPERATION NAME NUMBER [--segment-bytes N] -- ARGUMENTS

MOMENT is `before`, `half` (of a write) or `after`; OPERATION one of tests/support/disk.py, or `any`; NAME the start of
the file's name in the folder, or `any`; NUMBER which of those calls, from 1. A command with fewer of them ends as ever.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.disk import SHORT, Disk, Step


class Death:
    """Ends the process at one moment of one call."""

    def __init__(self, moment: str, operation: str, name: str, number: int) -> None:
        self._moment = moment
        self._operation, self._name = operation, name
        self._left = number
        self._is_now = False

    def fault(self, _number: int, step: Step) -> int | None:
        """Count the call; die before it, or let half of it pass."""
        of_kind = self._operation in {"any", step.operation}
        self._left -= of_kind and (self._name == "any" or step.name.startswith(self._name))
        self._is_now = of_kind and self._left == 0 and (self._name == "any" or step.name.startswith(self._name))
        if self._is_now and self._moment == "before":
            die()
        return SHORT if self._is_now and self._moment == "half" and step.operation == "write" else None

    def after(self, _number: int, _step: Step) -> None:
        """Die after the call."""
        if self._is_now:
            die()


def die() -> None:
    """Leave no time for anything."""
    os.kill(os.getpid(), signal.SIGKILL)


def _with(init: Callable[..., None], segment_bytes: int) -> Callable[..., None]:
    def small(*arguments: Any, **options: Any) -> None:
        init(*arguments, **{**options, "segment_bytes": segment_bytes})

    return small


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("moment", choices=["before", "half", "after"])
    parser.add_argument("operation")
    parser.add_argument("name")
    parser.add_argument("number", type=int)
    parser.add_argument("--segment-bytes", type=int)
    parser.add_argument("arguments", nargs="+")
    options = parser.parse_args()
    death = Death(options.moment, options.operation, options.name, options.number)
    with Disk(options.folder, death.fault, death.after):
        from llmbatch.cassette.store import Store
        from llmbatch.cli import main as llmbatch

        if options.segment_bytes:  # less than the configuration can say
            Store.__init__ = _with(Store.__init__, options.segment_bytes)  # type: ignore[method-assign]
        return llmbatch(options.arguments)


if __name__ == "__main__":
    sys.exit(main())
