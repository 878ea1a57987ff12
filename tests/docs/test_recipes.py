"""The programs of docs/recipes.md, run as they stand there: recorded against a server, then replayed without it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fault_server import FaultServer

pytestmark = pytest.mark.system

PAGE = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
PROGRAMS = dict(re.findall(r"`([\w]+\.py)`:\n\n```python\n(.*?)```", PAGE, re.DOTALL))


def run(folder: Path, command: list[str], server: FaultServer, **variables: str) -> str:
    """Run one recipe in its folder and return what it printed, without what differs between live and replay."""
    kept = {name: value for name, value in os.environ.items() if name not in {"CI", "OPENAI_API_KEY"}}
    environ = {**kept, "OPENAI_BASE_URL": server.base_url, **variables}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=120
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_text(PROGRAMS[name], encoding="utf-8")


@pytest.mark.parametrize(("name", "calls"), [("primes.py", 6), ("chain.py", 3)])
def test_a_recipe_replays_what_it_recorded(name: str, calls: int, server: FaultServer, tmp_path: Path) -> None:
    """Same lines printed, no call made, no key needed."""
    write(tmp_path, name)
    live = run(tmp_path, [name], server, RECORD_MODE="new_episodes", OPENAI_API_KEY="EMPTY")
    made = server.truth()["calls"]
    server.stop()
    replayed = run(tmp_path, [name], server)

    assert calls == made
    assert f"{calls} calls were made" in live
    assert live.replace(f"{calls} calls were made", "0 calls were made") == replayed


def test_the_poll_has_three_answers(server: FaultServer, tmp_path: Path) -> None:
    """Equal requests of one case are draws of their own: the server answers each of them anew."""
    write(tmp_path, "primes.py")
    live = run(tmp_path, ["primes.py"], server, RECORD_MODE="new_episodes", OPENAI_API_KEY="EMPTY")

    assert 3 == len({line for line in live.splitlines() if line.startswith("poll ")})


def test_the_pytest_recipe_records_and_replays(server: FaultServer, tmp_path: Path) -> None:
    """The fixture as a project of its own would use it."""
    write(tmp_path, "conftest.py", "test_primes.py")
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    run(tmp_path, command, server, RECORD_MODE="new_episodes", OPENAI_API_KEY="EMPTY")
    made = server.truth()["calls"]
    server.stop()

    assert "1 passed" in run(tmp_path, command, server)
    assert 1 == made
    assert (tmp_path / "cassettes" / "test_an_answer_is_a_text" / "segment-00001.yaml").is_file()
