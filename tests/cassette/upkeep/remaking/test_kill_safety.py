"""Killed at any write, sync, rename or removal: the target is whole or not there, and the sources are as they were.

The kill comes at the n-th of these calls of the system, for every n until the command gets through; no clock.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from llmbatch.cassette.store import Store
from tests.support.lines import answer, failure, files_of, write

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a process that kills itself is POSIX")

# imports once, then a process of its own for every command
SERVER = """
import io, json, os, signal, sys
from contextlib import redirect_stdout, redirect_stderr
from llmbatch.cli import main

def count(name, left):
    real = getattr(os, name)

    def call(*arguments, **options):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if left[0] == 0 and name == "write":  # half a write, then the kill
            real(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)

    setattr(os, name, call)

for line in sys.stdin:
    kill_at, arguments = json.loads(line)
    child = os.fork()
    if child == 0:
        left = [kill_at]
        for name in ("write", "fsync", "rename", "replace", "mkdir", "unlink", "rmdir"):
            count(name, left)
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            code = main(arguments)
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
KILLED = -9


@dataclass
class Commands:
    """Runs `llmbatch` commands that are killed at their n-th call of the system."""

    process: subprocess.Popen[str]

    def run(self, kill_at: int, *arguments: str | Path) -> int:
        """Return the exit code."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([kill_at, [str(argument) for argument in arguments]]) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    with subprocess.Popen([sys.executable, "-c", SERVER], stdin=-1, stdout=-1, text=True) as process:
        yield Commands(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0


def delete_half_a_lock(folder: Path) -> None:
    """Do what the error for a lock says that names no holder: its writer was killed while it wrote it."""
    lock = folder / ".lock"
    if lock.exists() and not lock.read_bytes().endswith(b"}"):
        lock.unlink()


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.system
def test_a_merge_that_is_killed_leaves_a_whole_target_or_none(commands: Commands, tmp_path: Path) -> None:
    """And the next one, with the same words, makes the target that an undisturbed one makes."""
    one = write(tmp_path / "one", [answer(1), answer(2), failure(3, "x")], [1])
    other = write(tmp_path / "other", [answer(2, "no"), answer(4, generation=1)], [1])
    sources = files_of(one), files_of(other)
    command = ("cassette", "merge", one, other, "--into", tmp_path / "target")
    assert commands.run(10**6, "cassette", "merge", one, other, "--into", tmp_path / "expected") == 0
    expected = files_of(tmp_path / "expected")

    kills = 0
    while (code := commands.run(kills, *command)) != 0:
        assert code == KILLED
        target = tmp_path / "target"
        if target.exists():
            assert expected == files_of(target)
            for path in target.iterdir():
                path.unlink()
            target.rmdir()
        assert {".target.making", "expected", "one", "other"} >= set(leftovers(tmp_path))
        delete_half_a_lock(tmp_path / ".target.making")
        assert sources == (files_of(one), files_of(other))
        kills += 1

    assert kills > 10
    assert expected == files_of(tmp_path / "target")
    assert ["expected", "one", "other", "target"] == leftovers(tmp_path)


FULL_DISK = """
import resource, sys
from llmbatch.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_FSIZE is set with the resource module")
@pytest.mark.parametrize("limit", [0, 400, 1500])
def test_a_full_disk_ends_a_merge_and_leaves_nothing_behind(tmp_path: Path, limit: int) -> None:
    """Exit code 7, what to do, and the space is free again."""
    source = write(tmp_path / "source", [answer(number, "x" * 700) for number in range(4)])
    command = [sys.executable, "-c", FULL_DISK, str(limit), "cassette", "merge", str(source), "--into"]
    run = subprocess.run([*command, str(tmp_path / "target")], capture_output=True, text=True, check=False)

    assert (7, "") == (run.returncode, run.stdout)
    assert "DiskError" in run.stderr
    assert "fix" in run.stderr
    assert ["source"] == leftovers(tmp_path)


@pytest.mark.system
def test_a_repair_that_is_killed_loses_nothing_and_can_be_repeated(commands: Commands, tmp_path: Path) -> None:
    """Each byte that is in no file of lines is in a quarantine file, at any moment."""
    damaged = b"- nonsense that was an answer\n"

    def lay_out(number: int) -> Path:
        folder = write(tmp_path / str(number), [answer(1), failure(2, "x")])
        with (folder / "segment-00001.yaml").open("ab") as stream:
            stream.write(damaged + answer(3).text)
        return folder

    kills = 0
    while (code := commands.run(kills, "cassette", "verify", folder := lay_out(kills), "--repair")) != 0:
        assert code == KILLED
        parts = [path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")]
        assert all(any(text in part for part in parts) for text in (answer(1).text, answer(3).text, damaged))
        delete_half_a_lock(folder)
        assert commands.run(10**6, "cassette", "verify", folder, "--repair") == 0
        assert [] == [name for name in leftovers(folder) if name.startswith(".")]
        kills += 1

    assert kills > 5
    with Store(folder) as store:
        assert ([], 2) == (store.verify(), len(store))
