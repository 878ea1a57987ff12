"""One run writes a cassette at a time, and says who it is."""

from __future__ import annotations

import errno
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from llmbatch.call.values import Reply
from llmbatch.cassette.lock import LOCK_FILE, Lock
from llmbatch.cassette.store import Store
from llmbatch.errors import CassetteLocked, ExitCode

HOLD = """
import sys
from pathlib import Path
from llmbatch.cassette.store import Store

with Store(Path(sys.argv[1]), record_mode="new_episodes"):
    print("open", flush=True)
    sys.stdin.read()
"""


def holding(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


def write_lock(folder: Path, **changed: Any) -> None:
    lock = Lock(folder).take()
    holder = orjson.loads(lock.path.read_bytes())
    lock.release()
    (folder / LOCK_FILE).write_bytes(orjson.dumps({**holder, **changed}))


def gone_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_second_process_is_told_who_holds_the_cassette(tmp_path: Path) -> None:
    """By pid and host; reading is still allowed."""
    with holding(tmp_path) as process:
        with pytest.raises(CassetteLocked, match=rf"process {process.pid} .*{socket.gethostname()}") as caught:
            Store(tmp_path, record_mode="new_episodes").open()
        with Store(tmp_path) as store:
            assert len(store) == 0
        process.communicate("")

    assert caught.value.exit_code == ExitCode.USAGE
    with Store(tmp_path, record_mode="new_episodes") as store:
        assert store.can_record


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Same host, same boot, no such process: nobody is left to give it back."""
    with holding(tmp_path) as process:
        process.kill()
        process.wait()
    caplog.set_level(logging.WARNING)
    with Store(tmp_path, record_mode="new_episodes") as store:
        assert store.can_record

    (record,) = caplog.records
    assert f"process {process.pid}, which is gone" in record.getMessage()
    assert list(tmp_path.iterdir()) == []


def test_two_stores_of_one_process_do_not_share_a_folder(tmp_path: Path) -> None:
    """The rule is one writer, not one process."""
    with Store(tmp_path, record_mode="new_episodes"), pytest.raises(CassetteLocked, match=str(os.getpid())):
        Store(tmp_path, record_mode="all").open()


def test_our_own_number_from_an_earlier_life_is_stale(tmp_path: Path) -> None:
    """A restarted container gives the same small pid to the same program."""
    write_lock(tmp_path, pid=os.getpid())

    lock = Lock(tmp_path).take()
    lock.release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"host": "elsewhere"}, "process 1 on host elsewhere"),
        ({"boot_id": "another"}, "before this host was started"),
    ],
)
def test_a_holder_that_cannot_be_seen_is_explained(tmp_path: Path, changed: dict[str, str], said: str) -> None:
    """Whether it still runs is not ours to guess: the message says which file to delete."""
    write_lock(tmp_path, pid=1, **changed)

    with pytest.raises(CassetteLocked) as caught:
        Lock(tmp_path).take()
    assert said in str(caught.value)
    assert f"delete {tmp_path / LOCK_FILE}" in caught.value.details["fix"]


def test_a_lock_that_says_nothing_is_respected(tmp_path: Path) -> None:
    """Its holder may have been killed between making and writing it, or be about to write."""
    (tmp_path / LOCK_FILE).write_bytes(b"")

    with pytest.raises(CassetteLocked, match="may be writing"):
        Lock(tmp_path).take()


def test_releasing_leaves_the_lock_of_another_holder(tmp_path: Path) -> None:
    """Who was taken over must not delete the new holder's lock."""
    lock = Lock(tmp_path).take()
    (tmp_path / LOCK_FILE).write_bytes(b'{"pid":1}')
    lock.release()
    lock.release()

    assert (tmp_path / LOCK_FILE).exists()


def test_a_stale_lock_is_taken_by_one_of_many(tmp_path: Path) -> None:
    """Processes that find it stale at the same moment do not all become the writer."""
    write_lock(tmp_path, pid=gone_pid())
    script = HOLD.replace('print("open", flush=True)', 'print("open", flush=True); sys.stdin.read()')
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    opened = []
    for process in processes:
        assert process.stdout is not None
        opened.append(process.stdout.readline())
    for process in processes:
        process.communicate("")

    assert sorted(opened) == ["", "", "open\n"]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")
def test_no_lock_of_the_system_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On NFS they may be refused (ENOLCK) or mean nothing: exclusive creation alone keeps the second writer out."""
    import fcntl

    def refused(*_arguments: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    for name in ("flock", "lockf", "fcntl"):
        monkeypatch.setattr(fcntl, name, refused)
    with Store(tmp_path, record_mode="new_episodes") as store:
        call = store.call(store.request("POST", "https://h/v1", {}, b"x"), 0, 0)
        store.record(call, Reply(200, "OK", {}, b"y"))
        with pytest.raises(CassetteLocked, match=str(os.getpid())):
            Store(tmp_path, record_mode="new_episodes").open()
        with Store(tmp_path) as reader:
            assert len(reader) == 1
    with Store(tmp_path, record_mode="new_episodes") as store:
        assert (len(store), store.verify()) == (1, [])
