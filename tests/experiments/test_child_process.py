"""Code that a model wrote runs in a child process: what it can do there, and how it ends."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from child_process import run_in_child

ROOT = Path(__file__).parents[2]
JUDGE = ROOT / "experiments" / "mutation_child.py"
TWICE = "def twice(number):\n    return number * 2\n"


def judged(script: str, **options: float) -> Any:
    """Judge a script by a function and one mutant, which differ for every number but 2."""
    versions = [TWICE, TWICE.replace("* 2", "* number")]
    return run_in_child(JUDGE, {"name": "twice", "versions": versions, "script": script}, **options)


@pytest.mark.parametrize(
    ("script", "calls", "killed"),
    [
        ("twice(3)\ntwice(2)", 2, 1),
        ("twice(2)", 1, 0),
        ("assert twice(3) == 7\nprint(twice(2))\nraise SystemExit\ntwice(1)", 3, 1),
        ("twice('a')", 1, 1),
        ("def twice(number):\n    return 0\ntwice(3)", 1, 1),
        ("import random\ntwice(random.choice([2, 3]) * 0 + 2)", 1, 0),
        ("", 0, 0),
    ],
)
def test_calls_are_counted_and_told_apart(script: str, calls: int, killed: int) -> None:
    """Whatever stands around them; a copy of the function in the answer is not the one that is judged."""
    assert {"parsed": True, "calls": calls, "killed": killed} == judged(script)


@pytest.mark.parametrize("script", ["twice(", "\0", "1 +"])
def test_what_is_no_python_is_said_to_be_none(script: str) -> None:
    """It is a result of the model, as any other."""
    assert {"parsed": False, "calls": 0, "killed": 0} == judged(script)


@pytest.mark.parametrize(
    "script",
    ["while True: pass", "def go():\n    go()\ngo()\nwhile True:\n    twice(2)", "[0 for _ in iter(int, 1)]"],
)
def test_an_endless_loop_is_ended_by_counting_its_operations(script: str) -> None:
    """Not by a clock: the same on a busy machine."""
    report = judged(script)

    assert report["parsed"]
    assert 0 == report["killed"]


def test_there_is_no_way_to_the_network_to_files_or_to_processes(tmp_path: Path) -> None:
    """Each try raises in the child; the file is there still and nobody has connected."""
    kept = tmp_path / "kept"
    kept.write_text("kept", encoding="utf-8")
    remove = f"import os; os.remove({str(kept)!r})"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        port = listener.getsockname()[1]
        tries = [
            f"import socket\nsocket.create_connection(('127.0.0.1', {port}))",
            f"import os\nos.remove({str(kept)!r})",
            f"open({str(kept)!r}, 'w')",
            f"import pathlib\npathlib.Path({str(kept)!r}).rename({str(kept) + '2'!r})",
            f"import shutil\nshutil.rmtree({str(tmp_path)!r})",
            f"import os, sys\nos.posix_spawn(sys.executable, [sys.executable, '-c', {remove!r}], {{}})",
            f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {remove!r}])",
            "import os\nos.system('echo')",
        ]
        # the call after each try is made for either version, so nothing is killed
        report = judged("\n".join(f"{each}\ntwice(2)" for each in tries))

        with pytest.raises(BlockingIOError):
            listener.accept()
    assert {"parsed": True, "calls": len(tries), "killed": 0} == report
    assert "kept" == kept.read_text(encoding="utf-8")


@pytest.mark.skipif(sys.platform != "linux", reason="not every system bounds memory")
def test_memory_is_bounded() -> None:
    """Asked for too much, Python says so, and the next line runs."""
    assert {"parsed": True, "calls": 1, "killed": 1} == judged("much = 'a' * 10**11\ntwice(3)")


def test_a_child_that_ends_without_a_word_is_none() -> None:
    """As one that a limit of the system has killed."""
    assert None is judged("import os\nos._exit(0)")


def test_the_child_has_an_empty_environment_and_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No key that is in the environment of a run is in that of what a model wrote."""
    monkeypatch.setenv("SECRET_OF_THE_RUN", "told to nobody")
    script = tmp_path / "script.py"
    script.write_text("import json, os\nprint(json.dumps([sorted(os.environ), os.getcwd()]))", encoding="utf-8")

    environment, folder = run_in_child(script, None)

    assert {"PYTHONHASHSEED"} == {*environment} - {"SYSTEMROOT", "LC_CTYPE", "__CF_USER_TEXT_ENCODING"}
    assert not Path(folder).exists()


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes and groups are POSIX's")
def test_at_the_time_out_a_child_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    """The pipe ends when the last of them is gone; one that was left would write into it first."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    left = "import os, sys, time; time.sleep(60); os.write(int(sys.argv[1]), b'left')"
    script = tmp_path / "script.py"
    script.write_text(
        f"import os, subprocess, sys, time\npipe = os.open({str(pipe)!r}, os.O_WRONLY)\n"
        f"subprocess.Popen([sys.executable, '-c', {left!r}, str(pipe)], pass_fds=[pipe])\ntime.sleep(60)",
        encoding="utf-8",
    )
    heard: list[bytes] = []
    reader = threading.Thread(target=lambda: heard.append(pipe.read_bytes()), daemon=True)
    reader.start()

    reply = run_in_child(script, None, seconds=5)
    os.close(os.open(pipe, os.O_RDWR))  # for the reader, should the child have been killed before it came to the pipe
    reader.join()

    assert (None, [b""]) == (reply, heard)


def test_the_witness_of_each_function_kills_all_its_mutants() -> None:
    """So a score of 1 can be reached, and no mutant is the function in other words."""
    text = (ROOT / "experiments" / "data" / "functions.jsonl").read_text(encoding="utf-8")
    for sample in map(json.loads, text.splitlines()):
        code, edits = sample["code"], sample["mutants"]
        assert [1] * len(edits) == [code.count(old) for old, _ in edits]
        versions = [code, *(code.replace(old, new) for old, new in edits)]
        given = {"name": sample["id"], "versions": versions, "script": "\n".join(sample["witness"])}

        assert len(edits) == run_in_child(JUDGE, given)["killed"], sample["id"]
