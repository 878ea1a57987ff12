"""Recorded refusals are asked again under a generation of their own, and nothing that happens on the way is undone."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from llmbatch.call.values import Reply
from llmbatch.cassette.case import Exchange, current_exchange
from llmbatch.cassette.recording.wire import Attempt, current_attempt
from llmbatch.cassette.retrying import RetryingStore
from llmbatch.cassette.store import Store
from llmbatch.cassette.upkeep.remaking.merge import merge
from llmbatch.errors import DiskError, UsageError
from tests.cassette.test_store import call_of, fill, reply_of
from tests.support.disk import SHORT, Disk, Step

REFUSED, FINE = range(4), range(4, 6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A cassette of four refusals and two answers."""
    with Store(tmp_path / "cassette", record_mode="new_episodes") as store:
        for number in REFUSED:
            store.record(call_of(store, number), refusal(number))
    fill(tmp_path / "cassette", FINE)
    return tmp_path / "cassette"


def refusal(number: int) -> Reply:
    return reply_of(f"refused {number}", status=400)


def texts(folder: Path) -> list[str]:
    """Return what answers each call, as any later run sees it."""
    with Store(folder) as store:
        assert store.verify() == []
        return [reply.body.decode() for number in (*REFUSED, *FINE) if (reply := found(store, number))]


def found(store: Store, number: int) -> Reply | None:
    return store.find(call_of(store, number).key)


def ask_again(folder: Path, numbers: range, text: str = "now ") -> None:
    with RetryingStore(folder, record_mode="new_episodes") as store:
        for number in numbers:
            assert found(store, number) is None
            store.record(call_of(store, number), reply_of(f"{text}{number}"))


BEFORE = [*(f"refused {number}" for number in REFUSED), *(f"r{number}" for number in FINE)]


def test_only_refusals_are_misses_and_each_until_it_was_asked(folder: Path) -> None:
    """An answer is never asked again, whatever it says."""
    with RetryingStore(folder, record_mode="new_episodes") as store:
        assert [None] * 4 == [found(store, number) for number in REFUSED]
        assert ["r4", "r5"] == [reply.body.decode() for number in FINE if (reply := found(store, number))]

        store.record(call_of(store, 0), reply_of("now 0"))
        store.record(call_of(store, 1), refusal(1))

        assert (200, 400, None) == tuple(
            reply.status if (reply := found(store, number)) else None for number in (0, 1, 2)
        )


def test_what_came_answers_key_by_key_and_the_rest_as_before(folder: Path) -> None:
    """A run that was killed half-way has asked half of them again, and nobody has to finish it."""
    ask_again(folder, range(2))
    assert ["now 0", "now 1", *BEFORE[2:]] == texts(folder)

    ask_again(folder, range(2, 4), text="later ")

    assert ["now 0", "now 1", "later 2", "later 3", *BEFORE[4:]] == texts(folder)


def test_what_is_asked_again_in_vain_stays_as_it_was_recorded(folder: Path) -> None:
    """A service that is down now has not taken its refusal back; the attempt is kept for audit."""
    with RetryingStore(folder, record_mode="new_episodes") as store:
        store.record_failure(call_of(store, 0), "server_error", "500")
        assert found(store, 0) is None
        assert refusal(0) == store.settle(call_of(store, 0).key) == found(store, 0)

    assert BEFORE == texts(folder)
    with Store(folder) as store:
        assert ["server_error"] == [failure.kind for failure in store.failures()]


def test_nothing_asked_again_leaves_nothing_behind(folder: Path) -> None:
    """Not even the mark of a generation."""
    with RetryingStore(folder, record_mode="new_episodes") as store:
        found(store, 0)

    assert [] == list(folder.glob("generation-*"))


def test_a_request_of_another_library_is_answered_as_recorded(folder: Path) -> None:
    """The recorder could not keep its promise that a row is that of a replay, were such a call to fail now."""
    with RetryingStore(folder, record_mode="new_episodes") as store:
        attempt = current_attempt.set(Attempt())
        try:
            assert refusal(0) == found(store, 0)
            exchange = current_exchange.set(Exchange(call_of(store, 0)))  # one of `ask`, on its way
            try:
                assert found(store, 0) is None
            finally:
                current_exchange.reset(exchange)
        finally:
            current_attempt.reset(attempt)


def test_a_second_answer_in_the_run_is_a_duplicate(folder: Path) -> None:
    """As of any call: the first line of a generation wins, a hedge that came late is kept for its cost."""
    with RetryingStore(folder, record_mode="new_episodes") as store:
        first = store.record(call_of(store, 0), reply_of("first"))
        assert first == store.record(call_of(store, 0), reply_of("second"))
        assert ["duplicate"] == [failure.kind for failure in store.failures()]


def test_an_unfinished_generation_of_mode_all_is_not_overtaken(folder: Path) -> None:
    """Finished later it would be the older one, and what its run showed would not be what a replay shows."""
    with Store(folder, record_mode="all") as store:
        store.record(call_of(store, 0), reply_of("half of all"))

    with pytest.raises(UsageError, match="generation 1 of mode `all` is unfinished"):
        RetryingStore(folder, record_mode="new_episodes").open()

    assert not (folder / ".lock").exists()


def test_a_generation_of_mode_all_goes_over_what_was_asked_again(folder: Path) -> None:
    """The highest complete generation answers, whichever way it came about."""
    ask_again(folder, range(2))
    fill(folder, range(6), mode="all", text="all ")
    assert ["now 0", "now 1", *BEFORE[2:]] == texts(folder)

    with Store(folder, record_mode="all") as store:
        assert 2 == store.generation
        store.complete_generation()

    assert [f"all {number}" for number in range(6)] == texts(folder)


def test_merged_in_any_order_the_same_lines_win(folder: Path, tmp_path: Path) -> None:
    """Two copies in which different refusals, and one in both, were asked again."""
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    ask_again(folder, range(2), text="here ")
    ask_again(other, range(1, 3), text="there ")

    merge([folder, other], tmp_path / "one", lambda conflict: None)
    merge([other, folder], tmp_path / "two", lambda conflict: None)

    def files(merged: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in merged.iterdir()}

    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert ["here 0", "here 1", "there 2", *BEFORE[3:]] == texts(tmp_path / "one")


def test_whatever_the_disk_refuses_every_call_is_answered_as_before_or_anew(folder: Path, tmp_path: Path) -> None:
    """Each call to the disk fails once, or writes half: nothing that was recorded is lost, nothing half counts."""
    steps = 0
    for fault in (errno.ENOSPC, SHORT):
        number = 0
        while True:
            number += 1
            copy = tmp_path / f"copy-{fault}-{number}"
            shutil.copytree(folder, copy)

            def fails(at: int, step: Step, *, code: int = fault, chosen: int = number) -> int | None:
                return code if at == chosen and (code != SHORT or step.operation == "write") else None

            told = False
            with Disk(copy, fails) as disk:
                try:
                    ask_again(copy, range(2))
                except (DiskError, OSError):
                    told = True
            now = texts(copy)
            assert all(
                text in {before, f"now {index}"} for index, (text, before) in enumerate(zip(now, BEFORE, strict=True))
            )
            assert told or ["now 0", "now 1"] == now[:2]
            if len(disk.steps) < number:
                break
            steps += 1
    assert steps > 10
