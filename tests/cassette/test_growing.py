"""A cassette that others write meanwhile: readers see whole lines, workers share a run, and nothing is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from llmbatch.call.values import Call, Reply
from llmbatch.cassette.line import decode_reply, frame
from llmbatch.cassette.lock import LOCK_FILE
from llmbatch.cassette.store import Mode, Store
from llmbatch.errors import CassetteDamaged, CassetteLocked, InternalError

WRITER = """
import sys
from pathlib import Path
from llmbatch.call.values import Reply
from llmbatch.cassette.store import Store

folder, name, first, last, token = sys.argv[1:]
numbers = range(int(first), int(last)) if int(first) < int(last) else range(int(first) - 1, int(last) - 1, -1)
with Store(Path(folder), record_mode="new_episodes", segment_bytes=100_000, joining=token or None) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    for number in numbers:
        call = store.call(store.request("POST", "https://e/v1", {}, b'{"n":%d}' % number), 0, 0)
        text = f"{name} {number} " + "x" * (number % 997)
        store.record(call, Reply(200, "OK", {}, text.encode()), case=name)
"""


def start(folder: Path, name: str, first: int, last: int, token: str | None) -> subprocess.Popen[str]:
    """Start a process that records the numbers from first on up to last, or down to it, when it is told to."""
    command = [sys.executable, "-c", WRITER, str(folder), name, str(first), str(last), token or ""]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def call_of(store: Store, number: int) -> Call:
    return store.call(store.request("POST", "https://e/v1", {}, b'{"n":%d}' % number), 0, 0)


def test_readers_of_a_growing_cassette_see_only_whole_lines(tmp_path: Path) -> None:
    """No reader waits, none meets half a line, and what one has seen the next one sees too."""
    with start(tmp_path, "w", 0, 3000, None) as writer:
        go(writer)
        seen, opened = 0, 0
        while writer.poll() is None:
            with Store(tmp_path) as store:
                assert seen <= len(store)
                seen, opened = len(store), opened + 1
                for number in range(0, seen, 97):
                    found = store.find(call_of(store, number).key)
                    assert found is not None
                    assert found.body.startswith(b"w %d " % number)
                assert seen == sum(1 for _ in store)
                store.refresh()
                assert seen <= len(store)
        assert writer.returncode == 0
    with Store(tmp_path) as store:
        assert (3000, []) == (len(store), store.verify())

    assert opened > 3
    assert len(list(tmp_path.glob("segment-*.yaml"))) > 10


def test_workers_of_a_run_write_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    """Four processes and the run's own; each file has one writer, and a key that several answer has one answer."""
    with Store(tmp_path, record_mode="new_episodes", segment_bytes=100_000) as store:
        store.record(call_of(store, 5000), Reply(200, "OK", {}, b"before"), case="run")
        parts = {"a": (0, 700), "b": (600, 1300), "c": (1900, 1200), "d": (2500, 1800)}  # two of them backwards
        workers = [start(tmp_path, name, *part, store.token) for name, part in parts.items()]
        for worker in workers:
            go(worker)
        seen = 1
        for number in range(3000, 3300):
            store.record(call_of(store, number), Reply(200, "OK", {}, b"run %d" % number), case="run")
            if number % 20 == 0:
                store.refresh()
                assert seen <= len(store)
                seen = len(store)
        for worker in workers:
            worker.communicate()
            assert worker.returncode == 0
        store.refresh()
        shared = {number for start in (600, 1200, 1800) for number in range(start, start + 100)}
        numbers = [*range(2500), *range(3000, 3300), 5000]
        assert len(numbers) == len(store)
        live = {number: store.find(call_of(store, number).key) for number in numbers}
        assert None not in live.values()
        digest = store.content_digest()
    with Store(tmp_path) as store:
        assert live == {number: store.find(call_of(store, number).key) for number in numbers}
        assert (digest, []) == (store.content_digest(), store.verify())

    lines = [
        line for path in tmp_path.glob("segment-*.yaml") for line in path.read_bytes().splitlines(keepends=True)[3:]
    ]
    assert len(numbers) + len(shared) == len(lines)
    smallest: dict[bytes, bytes] = {}
    for line in lines:
        smallest[frame(line).key] = min(line, smallest.get(frame(line).key, line))
    winners = {key: decode_reply(line) for key, line in smallest.items()}
    assert winners == {call_of(store, number).key: reply for number, reply in live.items()}
    writers = defaultdict(set)
    for path in tmp_path.glob("segment-*.yaml"):
        writers[path.name] = {line.split(b'"case":')[1].split(b",")[0] for line in path.read_bytes().splitlines()[3:]}
    assert {1} == {len(names) for names in writers.values()}
    assert {b'"a"', b'"b"', b'"c"', b'"d"', b'"run"'} == {name for names in writers.values() for name in names}


def test_a_refresh_reads_only_what_is_new(tmp_path: Path) -> None:
    """And of that only whole lines: a line in the middle of being written is taken in by the next."""
    with Store(tmp_path, record_mode="new_episodes") as store:
        for number in range(3):
            store.record(call_of(store, number), Reply(200, "OK", {}, b"r%d" % number))
    path = tmp_path / "segment-00001.yaml"
    whole = path.read_bytes()
    ends = [at + 1 for at in range(len(whole)) if whole[at : at + 1] == b"\n"]
    path.write_bytes(b"")
    with Store(tmp_path) as store:
        for end in range(1, len(whole) + 1, 7):
            path.write_bytes(whole[:end])
            store.refresh()
            assert sum(each <= end for each in ends[3:]) == len(store)
        path.write_bytes(whole)
        store.refresh()
        path.write_bytes(b"?" * len(whole))
        store.refresh()  # what was read before is not read again
        assert len(store) == 3
        path.write_bytes(whole[:-40])
        with pytest.raises(CassetteDamaged, match="the file ends before"):
            store.refresh()


def test_a_worker_belongs_to_the_run_that_holds_the_lock(tmp_path: Path) -> None:
    """Nobody joins without its token, and a worker that outlives its run writes nothing more."""
    with Store(tmp_path, record_mode="new_episodes") as run:
        token = run.token
        assert token is not None
        with pytest.raises(CassetteLocked, match=f"process {os.getpid()}"):
            Store(tmp_path, record_mode="new_episodes").open()
        with pytest.raises(CassetteLocked, match="does not hold"):
            Store(tmp_path, record_mode="new_episodes", joining="another").open()
        worker = Store(tmp_path, record_mode="new_episodes", joining=token).open()
        worker.record(call_of(worker, 1), Reply(200, "OK", {}, b"one"))
        assert worker.token is None
    with pytest.raises(CassetteLocked, match="does not hold") as caught:
        worker.record(call_of(worker, 2), Reply(200, "OK", {}, b"two"))
    worker.close()
    assert "nobody holds the lock" in caught.value.details["why"]
    assert not (tmp_path / LOCK_FILE).exists()
    with Store(tmp_path, record_mode="new_episodes"), pytest.raises(CassetteLocked, match="does not hold"):
        Store(tmp_path, record_mode="new_episodes", joining=token).open()
    with Store(tmp_path) as store:
        assert len(store) == 1


@pytest.mark.parametrize("mode", ["once", "all", "none"])
def test_a_worker_records_as_its_run_does(tmp_path: Path, mode: Mode) -> None:
    """In `once` though others have answered by now, in `all` under the run's generation, in `none` nothing."""
    with Store(tmp_path, record_mode="new_episodes" if mode == "none" else mode) as run:
        run.record(call_of(run, 1), Reply(200, "OK", {}, b"one"))
        with Store(tmp_path, record_mode=mode, joining=run.token) as worker:
            assert worker.find(call_of(run, 1).key) == run.find(call_of(run, 1).key)
            if mode == "none":
                with pytest.raises(InternalError, match="'none'"):
                    worker.record(call_of(run, 2), Reply(200, "OK", {}, b"two"))
                return
            worker.record(call_of(run, 2), Reply(200, "OK", {}, b"two"))
            worker.complete_generation()
            assert run.generation == worker.generation
        assert list(tmp_path.glob("generation-*")) == []
        run.refresh()
        assert len(run) == 2
