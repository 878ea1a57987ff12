"""The run log as a file: whole lines, at once, without secrets, and never in the way."""

from __future__ import annotations

import errno
import json
import math
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from llmbatch.runlog import RunLog, write_exception
from tests.support.disk import SHORT, Disk, Step


def events(path: Path) -> list[dict[str, Any]]:
    """Return what stands in a log; a line that is not JSON is an error."""
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


def as_it_is(text: str) -> str:
    return text


def test_an_event_is_one_line_with_its_time_and_name(tmp_path: Path) -> None:
    """Whatever text is in it: a lone surrogate or a line end breaks no line."""
    with RunLog(tmp_path / "run.jsonl", as_it_is) as log:
        log.write("note", text="ä\ud800\n\x1b[2J")
        write_exception(log, "stopped", ValueError("no"))

    [note, stopped] = events(tmp_path / "run.jsonl")
    assert ("note", "ä\ud800\n\x1b[2J") == (note["event"], note["text"])
    assert note["at"].endswith("+00:00")
    assert "ValueError: no" == stopped["error"]
    assert "ValueError: no" in stopped["traceback"]


def test_a_number_that_json_does_not_have_is_text(tmp_path: Path) -> None:
    """A wait of infinite seconds must not make the line unreadable to other readers."""
    with RunLog(tmp_path / "run.jsonl", as_it_is) as log:
        log.write("wait", seconds=math.inf)

    assert "Infinity" not in (tmp_path / "run.jsonl").read_text(encoding="ascii")
    assert "inf" == events(tmp_path / "run.jsonl")[0]["seconds"]


def test_no_secret_is_written(tmp_path: Path) -> None:
    """Every text passes the scrubber."""
    with RunLog(tmp_path / "run.jsonl", lambda text: text.replace("sesame", "<secret>")) as log:
        log.write("note", text="open sesame")

    assert "open <secret>" == events(tmp_path / "run.jsonl")[0]["text"]


def test_what_was_told_before_a_kill_is_there_after_it(tmp_path: Path) -> None:
    """Nothing waits in a buffer: the last second is what one wants to read after a kill."""
    program = (
        "import os, sys; from pathlib import Path; from llmbatch.runlog import RunLog\n"
        "log = RunLog(Path(sys.argv[1]), str)\n"
        "for number in range(100): log.write('note', text=str(number))\n"
        "os.kill(os.getpid(), 9) if hasattr(os, 'fork') else os._exit(9)\n"
    )

    killed = subprocess.run([sys.executable, "-c", program, tmp_path / "run.jsonl"], check=False)

    assert killed.returncode != 0
    assert [str(number) for number in range(100)] == [each["text"] for each in events(tmp_path / "run.jsonl")]


def test_threads_write_whole_lines(tmp_path: Path) -> None:
    """Sync tasks run in threads, and the recorder may warn from any."""
    with RunLog(tmp_path / "run.jsonl", as_it_is) as log:

        def tell() -> None:
            for _ in range(50):
                log.write("note", text="x" * 5000)

        threads = [threading.Thread(target=tell) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert 400 == len(events(tmp_path / "run.jsonl"))


@pytest.mark.parametrize("fault", [errno.ENOSPC, SHORT])
def test_a_disk_that_is_full_for_a_while_costs_the_events_of_that_while(tmp_path: Path, fault: int) -> None:
    """Nothing is raised, what is missing is counted, and the piece of a line that was written spoils no other."""
    writes: list[Step] = []

    def full(number: int, step: Step) -> int | None:
        if step.operation != "write":
            return None
        writes.append(step)
        if fault == SHORT:
            return {2: SHORT, 3: errno.ENOSPC}.get(len(writes))
        return errno.ENOSPC if len(writes) == 2 else None

    with Disk(tmp_path, full), RunLog(tmp_path / "run.jsonl", as_it_is) as log:
        for text in ("first", "second", "third"):
            log.write("note", text=text)

    whole = []
    for line in (tmp_path / "run.jsonl").read_text(encoding="ascii").splitlines():
        try:
            whole.append(json.loads(line)["text"])
        except ValueError:
            continue
    assert ["first", "third"] == whole
    assert 1 == log.lost
    assert "No space left" in log.problem


def test_a_log_that_cannot_be_made_is_said_and_costs_nothing(tmp_path: Path) -> None:
    """A run without a log is still a run."""
    with RunLog(tmp_path / "nowhere" / "run.jsonl", as_it_is) as log:
        log.write("note", text="heard by nobody")

    assert 1 == log.lost
    assert "run.jsonl cannot be written" in log.problem
