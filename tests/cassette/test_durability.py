"""What an answer survives from the moment a task sees it: the order of writes and syncs, as the disk sees them."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from llmbatch.call.failure import FailureKind
from llmbatch.call.values import Call, Reply
from llmbatch.cassette import writer
from llmbatch.cassette.store import Store
from llmbatch.config import Durability
from llmbatch.errors import DiskError
from tests.support.disk import SYNC_FOLDER, Disk, Step

ACK = Step("ack", "")
SEGMENT, FAILURES = "segment-00001.yaml", "failures-00001.yaml"


def call_of(store: Store, number: int) -> Call:
    return store.call(store.request("POST", "https://h/v1", {}, b"%d" % number), 0, 0)


def record(store: Store, number: int) -> None:
    store.record(call_of(store, number), Reply(200, "OK", {}, b"x" * 50), case=None)


def steps_of(folder: Path, durability: Durability) -> list[Step]:
    """Return what the disk sees of three records, a failure and a generation's mark; ACK where a task goes on."""
    folder.mkdir()
    with Disk(folder) as disk, Store(folder, record_mode="all", durability=durability, segment_bytes=1000) as store:
        for number in range(3):
            record(store, number)
            disk.steps.append(ACK)
        store.record_failure(call_of(store, 7), FailureKind.TIMEOUT, "late")
        disk.steps.append(ACK)
        store.complete_generation()
        disk.steps.append(ACK)
    return [step for step in disk.steps if ".lock" not in step.name and step.operation != "make folder"]


def test_power_syncs_the_line_and_the_name_of_a_new_file_before_the_answer_is_handed_on(tmp_path: Path) -> None:
    """File, then folder: a file whose name is not on the medium is not there after a power cut."""
    second = "segment-00002.yaml"

    assert [
        Step(SYNC_FOLDER, "."),  # what a killed writer left is served from now on
        Step("create", SEGMENT),
        Step("write", SEGMENT),
        Step("sync", SEGMENT),
        Step(SYNC_FOLDER, "."),
        ACK,
        Step("write", SEGMENT),
        Step("sync", SEGMENT),
        ACK,
        Step("create", second),
        Step("write", second),
        Step("sync", second),
        Step(SYNC_FOLDER, "."),
        ACK,
        Step("create", FAILURES),
        Step("write", FAILURES),
        Step("sync", FAILURES),
        Step(SYNC_FOLDER, "."),
        ACK,
        Step("create", "generation-1.complete"),
        Step("sync", "generation-1.complete"),
        Step(SYNC_FOLDER, "."),
        ACK,
    ] == steps_of(tmp_path / "power", "power")


def test_process_writes_before_the_answer_is_handed_on_and_syncs_before_it_rolls_over_marks_or_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hot path does not wait for the medium; a mark never gets there before the answers it speaks of."""
    monkeypatch.setattr(writer, "SYNC_SECONDS", 1000.0)
    second = "segment-00002.yaml"

    assert [
        Step("create", SEGMENT),
        Step("write", SEGMENT),
        ACK,
        Step("write", SEGMENT),
        ACK,
        Step("sync", SEGMENT),
        Step(SYNC_FOLDER, "."),
        Step("create", second),
        Step("write", second),
        ACK,
        Step("create", FAILURES),
        Step("write", FAILURES),
        ACK,
        Step("sync", second),
        Step(SYNC_FOLDER, "."),
        Step("sync", FAILURES),
        Step(SYNC_FOLDER, "."),
        Step("create", "generation-1.complete"),
        Step("sync", "generation-1.complete"),
        Step(SYNC_FOLDER, "."),
        ACK,
    ] == steps_of(tmp_path / "process", "process")


def test_what_a_killed_writer_left_in_the_cache_is_synced_before_power_serves_it(tmp_path: Path) -> None:
    """It was whole and not on the medium; from now on it is an answer like any other."""
    with Store(tmp_path, record_mode="new_episodes") as store:
        record(store, 1)
    with Disk(tmp_path) as disk, Store(tmp_path, record_mode="new_episodes", durability="power"):
        opened = disk.steps[:]

    assert [Step("sync", SEGMENT), Step(SYNC_FOLDER, ".")] == [step for step in opened if "sync" in step.operation]


def test_a_new_folder_is_put_on_the_medium_with_its_name(tmp_path: Path) -> None:
    """Each folder that was made is named in the one above it."""
    with Disk(tmp_path) as disk, Store(tmp_path / "a" / "b", record_mode="new_episodes"):
        pass

    assert [Step(SYNC_FOLDER, "a"), Step(SYNC_FOLDER, ".")] == [each for each in disk.steps if "sync" in each.operation]


def test_process_syncs_in_a_thread_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No event loop waits for the medium; a second write is synced again, an idle cassette is not."""
    monkeypatch.setattr(writer, "SYNC_SECONDS", 0.0)
    synced: list[str] = []
    came = threading.Semaphore(0)

    def after(_number: int, step: Step) -> None:
        if step == Step("sync", SEGMENT):
            synced.append(threading.current_thread().name)
            came.release()

    with Disk(tmp_path, after=after), Store(tmp_path, record_mode="new_episodes") as store:
        for number in (1, 2):
            record(store, number)
            assert came.acquire(timeout=30)

    assert ["llmbatch-sync"] * 2 == synced
    assert not [thread for thread in threading.enumerate() if thread.name == "llmbatch-sync"]


@pytest.mark.parametrize("what", ["sync", SYNC_FOLDER])
@pytest.mark.parametrize("durability", ["process", "power"])
def test_a_failed_sync_is_final_and_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: Durability, what: str
) -> None:
    """After it the system forgets which pages were lost, and a later sync lies: no write and no sync any more."""
    monkeypatch.setattr(writer, "SYNC_SECONDS", 0.0)
    tried: list[Step] = []
    failed = threading.Event()

    def fail(_number: int, step: Step) -> int | None:
        if step.operation in {"sync", SYNC_FOLDER} and store._writer is not None:
            tried.append(step)
            failed.set()
            return errno.EIO if step.operation == what else None
        return None

    store = Store(tmp_path, record_mode="new_episodes", durability=durability)
    with Disk(tmp_path, fail), store:
        if durability == "power":
            with pytest.raises(DiskError, match="did not take"):
                record(store, 1)
        else:
            record(store, 1)
            assert failed.wait(30)
            store._writer._syncing.end()  # type: ignore[union-attr]  # its failure is there when the thread has ended
        assert store.disk_error is not None
        tries = tried[:]
        for number in (2, 3):
            with pytest.raises(DiskError, match="did not take") as caught:
                record(store, number)
        assert store.unwritten == 2 + (durability == "power")

    assert tried == tries
    assert {"file", "bytes", "fix"} == set(caught.value.details)
    assert "verify" in caught.value.details["fix"]


def test_a_sync_that_failed_after_the_last_write_is_told_at_the_end(tmp_path: Path) -> None:
    """A run must not say that all is well because nothing was left to write."""

    def fail(_number: int, step: Step) -> int | None:
        return errno.EIO if step.operation == "sync" else None

    store = Store(tmp_path, record_mode="new_episodes").open()
    with Disk(tmp_path, fail):
        record(store, 1)
        with pytest.raises(DiskError, match=os.strerror(errno.EIO)):
            store.close()
    assert not (tmp_path / ".lock").exists()
