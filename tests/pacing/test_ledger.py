"""Runs that share a file keep to one limit together; whatever becomes of the file or of one of them, nobody hangs."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from llmbatch.pacing.booking import Rates
from llmbatch.pacing.ledger import PATIENCE_SECONDS, Limit, SharedLedger, shared_folder
from llmbatch.pacing.shared_lines import FILE

NAME = b"0123456789abcdef"


class Run:
    """What one run has of a shared limit."""

    def __init__(self, folder: Path, name: bytes = NAME, rpm: float | None = 6000, tpm: float | None = None) -> None:
        self.notes: list[str] = []
        self.ledger = SharedLedger(lambda: folder, note=self.notes.append)
        self.limit = Limit(name, Rates(rpm, tpm))

    def book(self, number: int, now: float, tokens: float = 0.0) -> list[float] | None:
        """Return the starts of so many requests; None where somebody else is booking."""
        booking = self.ledger.book([self.limit], [tokens] * number, now)
        return None if booking is None else booking.starts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "shared"


@pytest.fixture
def runs(folder: Path) -> Iterator[list[Run]]:
    runs = [Run(folder) for _ in range(3)]
    yield runs
    for run in runs:
        run.ledger.close()


def test_all_together_book_one_line(runs: list[Run]) -> None:
    """No two starts of three runs are closer together than those of one."""
    starts, now = list[float](), 100.0
    for number in range(300):
        now += 0.007
        starts += runs[number % 3].book(2, now) or []

    starts.sort()
    assert all(later - earlier > 0.0099 for earlier, later in pairwise(starts))
    assert starts[-1] - starts[0] == pytest.approx((len(starts) - 1) * 0.01, rel=0.05)  # and none is left out
    assert [[], [], []] == [run.notes for run in runs]


def test_other_keys_and_models_have_lines_of_their_own(folder: Path, runs: list[Run]) -> None:
    """Nobody waits for a limit that is not theirs."""
    runs[0].book(100, 100.0)
    other = Run(folder, b"another name 123")

    assert [] == runs[1].book(1, 100.0)
    assert 1 == len(other.book(1, 100.0) or [])
    other.ledger.close()


def test_tokens_that_one_run_did_not_need_are_there_for_the_others(folder: Path) -> None:
    """Its estimate held them back; its settlement gives them back with its next booking."""
    first, second = Run(folder, rpm=None, tpm=6000), Run(folder, rpm=None, tpm=6000)
    first.book(1, 100.0, 6000.0)
    held = second.book(1, 101.0, 10.0)
    first.limit.owed_tokens -= 5990
    first.book(1, 101.0, 10.0)

    assert [] == held
    assert 1 == len(second.book(1, 101.0, 10.0) or [])
    first.ledger.close()
    second.ledger.close()


def test_a_run_that_was_killed_holds_nothing(folder: Path, runs: list[Run]) -> None:
    """Not even in the middle of a booking: the system gives the lock back, and what it had booked goes by."""
    program = """
import sys
from pathlib import Path
from llmbatch.pacing.booking import Rates
from llmbatch.pacing.ledger import Limit
from llmbatch.pacing.shared_lines import SharedLines
limit = Limit(b"0123456789abcdef", Rates(6000))
with SharedLines(Path(sys.argv[1])).locked([limit], 100.0) as is_locked:
    limit.line.requests_until = 100.04
    print(is_locked, flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert "True\n" == process.stdout.readline()
        during = runs[0].book(1, 100.0)
        process.kill()
    after = runs[0].book(3, 100.0)

    assert during is None
    assert 3 == len(after or [])


def test_a_run_that_is_stopped_in_the_middle_of_a_booking_holds_up_nobody_for_long(
    folder: Path, runs: list[Run]
) -> None:
    """After two seconds the others go on by themselves, and say so once."""
    runs[1].book(1, 99.0)
    holder = sqlite3.connect(folder / FILE, isolation_level=None)
    holder.execute("begin immediate")
    patient = [runs[0].book(1, 100.0 + seconds) for seconds in (0.0, 1.0, PATIENCE_SECONDS - 0.01)]
    impatient = runs[0].book(1, 100.0 + PATIENCE_SECONDS)
    holder.close()

    assert [None] * 3 == patient
    assert 1 == len(impatient or [])
    assert 1 == len(runs[0].notes)
    assert "another process holds it" in runs[0].notes[0]


def test_times_from_before_the_machine_was_started_are_void(runs: list[Run]) -> None:
    """Its clock begins anew: nobody waits for a week of the last time."""
    runs[0].book(100, 600_000.0)

    assert 3 < len(runs[1].book(100, 50.0) or [])
    assert [] == runs[2].book(1, 50.0)  # and shared again from then on


@pytest.mark.parametrize("trouble", ["a file in its place", "not a database", "open to others"])
def test_where_nothing_can_be_shared_the_run_keeps_to_the_limit_by_itself(tmp_path: Path, trouble: str) -> None:
    """Said once, with what to do; a limit that is kept alone is better than none, and than a run that stops."""
    folder = tmp_path / "shared"
    if trouble == "a file in its place":
        folder.write_text("")
    else:
        folder.mkdir(mode=0o700)
        if trouble == "not a database":
            (folder / FILE).write_bytes(b"x" * 4096)
        elif not hasattr(os, "getuid"):
            pytest.skip("folders have no such mode here")
        else:
            folder.chmod(0o777)
    run = Run(folder)
    first, second = run.book(100, 100.0), run.book(100, 100.0)

    assert 0 < len(first or []) < 10
    assert [] == second
    assert 1 == len(run.notes)
    assert str(folder) in run.notes[0]
    assert "--rpm" in run.notes[0]


def test_a_machine_without_a_temporary_folder_is_no_reason_to_stop() -> None:
    """There is nothing to share by, and nothing else is wrong."""

    def find() -> Path:
        raise FileNotFoundError("no usable temporary directory")

    notes: list[str] = []
    booking = SharedLedger(find, note=notes.append).book([Limit(NAME, Rates(6000))], [0.0], 100.0)

    assert booking is not None
    assert 1 == len(booking.starts)
    assert "the temporary folder cannot be used (no usable temporary directory)" in notes[0]


def test_the_file_is_the_users_alone_and_in_the_temporary_folder(
    folder: Path, runs: list[Run], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Others of the machine can neither read when one calls, nor slow one down."""
    runs[0].book(1, 100.0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    assert tmp_path == shared_folder().parent
    if hasattr(os, "getuid"):
        assert 0o700 == folder.stat().st_mode & 0o777
        assert shared_folder().name == f"llmbatch-{os.getuid()}"
