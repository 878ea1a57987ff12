"""Every call that changes a cassette fails once, in turn: nothing acknowledged is lost, and nothing is damaged.

The method is that of SQLite's I/O error tests (https://www.sqlite.org/testing.html, "I/O Error Testing").
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from llmbatch.call.failure import FailureKind
from llmbatch.call.values import Call, Reply
from llmbatch.cassette.line import decode
from llmbatch.cassette.segment import lines_after, read_header, segments_of
from llmbatch.cassette.store import Store
from llmbatch.config import Durability
from llmbatch.errors import CassetteLocked, DiskError, ExitCode
from tests.support.disk import FULL, SHORT, Disk, Step

TORN = ("not written to its end", "ends within its header")


@dataclass
class Told:
    """What the store acknowledged: (generation, number) of answers, numbers of failures; and what it raised."""

    answers: set[tuple[int, int]] = field(default_factory=set)
    failures: set[int] = field(default_factory=set)
    marked: bool = False
    errors: list[DiskError] = field(default_factory=list)


def call_of(store: Store, number: int) -> Call:
    return store.call(store.request("POST", "https://h/v1", {}, b"%d" % number), 0, 0)


def reply_of(generation: int, number: int) -> Reply:
    return Reply(200, "OK", {}, b"%d:%d:" % (generation, number) + b"x" * 200)


def work(folder: Path, durability: Durability) -> Told:
    """Two runs over one cassette: answers, failures, files that are full, a new generation and its mark.

    It goes on after every error, as what is on its way when a disk fills up does.
    """
    told = Told()

    def attempt(act: Callable[[], object]) -> bool:
        try:
            act()
        except DiskError as error:
            told.errors.append(error)
            return False
        return True

    for mode, numbers in (("new_episodes", (0, 1, 2)), ("all", (1, 2, 3))):
        store = Store(folder, record_mode=mode, segment_bytes=1300, durability=durability)  # type: ignore[arg-type]
        if not attempt(store.open):
            continue
        for number in numbers:
            call, reply = call_of(store, number), reply_of(store.generation, number)
            if attempt(partial(store.record, call, reply)):
                told.answers.add((store.generation, number))
            failed = call_of(store, number + 10)
            if attempt(partial(store.record_failure, failed, FailureKind.TIMEOUT, "")):
                told.failures.add(number + 10)
        told.marked = mode == "all" and attempt(store.complete_generation)
        attempt(store.close)
    return told


def answers_in(folder: Path) -> dict[tuple[int, int], bytes]:
    """Return every recorded body by generation and number, of whole lines only, whatever generation counts."""
    found = {}
    for name in segments_of(folder):
        with (folder / name.file).open("rb") as stream:
            header = read_header(folder / name.file, stream)
            lines = [] if header is None else list(lines_after(folder / name.file, stream, header.end))
        for line in (decode(line) for _, line in lines):
            if line.kind is None and line.reply is not None:
                found[line.generation, int(line.call.request.body or b"")] = line.reply.body
    return found


def check(folder: Path, told: Told) -> None:
    """Assert that what was acknowledged is there, that only a half line may be wrong, and that recording goes on."""
    marked = (folder / "generation-1.complete").exists()  # also where only its sync failed
    assert told.marked <= marked
    with Store(folder) as store:
        assert [] == [problem for problem in store.verify() if not any(torn in problem for torn in TORN)]
        latest = {number: generation for generation, number in sorted(told.answers) if generation == 0 or marked}
        for number, generation in latest.items():
            found = store.find(call_of(store, number).key)
            assert found is not None
            assert reply_of(generation, number).body == found.body
        for number in told.failures:
            assert store.find_failure(call_of(store, number).key) is not None or not marked
    there = answers_in(folder)
    assert {each: reply_of(*each).body for each in told.answers} == {each: there[each] for each in told.answers}
    for error in told.errors:
        assert error.exit_code == ExitCode.DISK
        assert str(folder) in error.details["file"]
        assert error.details["fix"]
    with Store(folder, record_mode="new_episodes") as store:  # the disk is well again
        store.record(call_of(store, 99), reply_of(0, 99))
        assert [] == store.verify()
    assert not list(folder.glob(".lock*"))


def count_of(folder: Path, durability: Durability) -> int:
    with Disk(folder) as disk:
        told = work(folder, durability)
    assert [] == told.errors
    assert {(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (1, 3)} == told.answers
    check(folder, told)
    return len(disk.steps)


@pytest.mark.parametrize("durability", ["process", "power"])
@pytest.mark.parametrize("code", [*FULL, errno.EIO, SHORT], ids=[*map(errno.errorcode.get, FULL), "EIO", "SHORT"])
def test_each_call_fails_once_and_nothing_acknowledged_is_lost(
    tmp_path: Path, code: int, durability: Durability
) -> None:
    """Creating, writing (also by halves), syncing, cutting, renaming, removing: the n-th call, for every n."""
    failed = 0
    for n in range(1, count_of(tmp_path / "sound", durability) + 1):

        def fail(number: int, step: Step, n: int = n) -> int | None:
            return code if number == n and (step.operation == "write" or code in {errno.ENOSPC, errno.EIO}) else None

        folder = tmp_path / str(n)
        with Disk(folder, fail):
            told = work(folder, durability)
        check(folder, told)
        failed += bool(told.errors)

    assert failed >= 12  # at the least, each write


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_from_some_call_on_all_fail_and_nothing_acknowledged_is_lost(tmp_path: Path, code: int) -> None:
    """A disk that is full stays full: half lines cannot always be taken back, and nothing is glued onto one."""
    last = count_of(tmp_path / "sound", "process") - 1  # the one after it gives the lock back
    for n in range(1, last + 1):

        def fail(number: int, step: Step, n: int = n) -> int | None:
            if number < n or step.name.startswith(".lock"):
                return None
            return SHORT if number == n and step.operation == "write" else code

        folder = tmp_path / str(n)
        with Disk(folder, fail):
            told = work(folder, "process")
        check(folder, told)
        assert told.errors


def test_a_half_line_that_cannot_be_taken_back_ends_the_writing(tmp_path: Path) -> None:
    """The next line would be glued onto it; the error says what state the file is in."""
    attempts: list[Step] = []
    broken = False

    def fail(_number: int, step: Step) -> int | None:
        if not broken:
            return None
        attempts.append(step)
        return {"write": SHORT, "truncate": errno.EIO}.get(step.operation)

    with Disk(tmp_path, fail), Store(tmp_path, record_mode="new_episodes") as store:
        store.record(call_of(store, 0), reply_of(0, 0))
        broken = True
        for number in (1, 2):
            with pytest.raises(DiskError, match="bytes fitted") as caught:
                store.record(call_of(store, number), reply_of(0, number))
    with Store(tmp_path) as store:
        (problem,) = store.verify()
        assert (len(store), TORN[0] in problem) == (1, True)

    assert "could not be taken back" in caught.value.details["state"]
    assert ["write", "truncate", "remove"] == [step.operation for step in attempts]  # and the lock


def test_a_lock_that_cannot_be_set_aside_is_not_passed_over(tmp_path: Path) -> None:
    """A stale lock that the disk will not let go of still keeps others out."""
    with Store(tmp_path, record_mode="new_episodes") as store:
        store.record(call_of(store, 0), reply_of(0, 0))
        text = (tmp_path / ".lock").read_bytes()
    (tmp_path / ".lock").write_bytes(text)

    stuck = Disk(tmp_path, lambda number, step: errno.EIO if step.operation == "rename" else None)
    with stuck, pytest.raises(CassetteLocked):
        Store(tmp_path, record_mode="new_episodes").open()
