"""At a terminal, a run that would cost more than was said asks first; elsewhere nobody is asked."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fault_server import FaultServer
from tests.support.project import PROGRAM, Project, commits
from tests.system.test_budget import PRICED, add_settings
from tests.system.test_faults import ONE_MODEL

pty = pytest.importorskip("pty", reason="a terminal of one's own")
pytestmark = pytest.mark.system

QUESTION = "Go on? [y/N]"


@pytest.fixture
def project(tmp_path: Path, server: FaultServer) -> Project:
    project = Project(tmp_path, server.base_url)
    project.write_experiment(ONE_MODEL)
    add_settings(project, PRICED)
    project.write_samples(commits(12))
    return project


def at_terminal(project: Project, *arguments: str, answer: str = "") -> tuple[int, str]:
    """Run `llmbatch exp` at a terminal, and type the answer to a question. Return the exit code and what is seen."""
    ours, theirs = pty.openpty()
    words = [sys.executable, "-c", PROGRAM, "exp", "experiments/study.py", *arguments]
    environ = {"PATH": os.environ["PATH"], "TERM": "xterm"}
    process = subprocess.Popen(
        words, cwd=project.root, env=environ, stdin=theirs, stderr=theirs, stdout=subprocess.DEVNULL
    )
    os.close(theirs)
    seen = b""
    try:
        while select.select([ours], [], [], 60)[0]:
            try:
                seen += os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if answer and QUESTION.encode() in seen:
                os.write(ours, answer.encode() + b"\n")
                answer = ""
    finally:
        os.close(ours)
        code = process.wait(timeout=60)
    return code, seen.decode(errors="replace")


def test_no_is_an_end_before_anything_is_paid(project: Project, server: FaultServer) -> None:
    """With the estimate in the question, and what to do next."""
    code, seen = at_terminal(project, answer="n")

    assert 2 == code, seen
    assert "12 calls would cost $" in seen
    assert "the run was not to be paid for" in seen
    assert 0 == server.truth()["calls"]


def test_a_probe_is_asked_about_with_the_rest_before_it_is_made(project: Project, server: FaultServer) -> None:
    """It is the first that would be paid for, and the cheapest."""
    settings = project.root / "llmbatch.toml"
    settings.write_text(settings.read_text().replace('structured = "json_schema"\n', ""), encoding="utf-8")

    code, seen = at_terminal(project, answer="n")

    assert 2 == code, seen
    assert "23 calls would cost $" in seen
    assert 0 == server.truth()["calls"]


def test_yes_is_asked_for_once(project: Project, server: FaultServer) -> None:
    """And what is then recorded needs no answer."""
    code, seen = at_terminal(project, answer="y")
    again, then = at_terminal(project)

    assert (0, 1) == (code, seen.count(QUESTION)), seen
    assert 12 == server.truth()["calls"]
    assert (0, 0) == (again, then.count(QUESTION)), then


def test_a_cheap_run_and_one_that_was_said_yes_to_ask_nothing(project: Project, server: FaultServer) -> None:
    """Nor does one without a terminal."""
    allowed, seen = at_terminal(project, "--yes", "--limit", "3")
    assert (0, 0) == (allowed, seen.count(QUESTION)), seen
    budget, seen = at_terminal(project, "--budget", "50", "--limit", "4")
    assert (0, 0) == (budget, seen.count(QUESTION)), seen
    project.configure("ask_above_usd = 1000")
    add_settings(project, PRICED)
    cheap, seen = at_terminal(project, "--limit", "6")
    assert (0, 0) == (cheap, seen.count(QUESTION)), seen
    project.configure("ask_above_usd = 0")
    add_settings(project, PRICED)
    script = project.exp()

    assert 0 == script.code
    assert QUESTION not in script.err
    assert 12 == server.truth()["calls"]


def test_further_repeats_of_recorded_samples_are_asked_about(project: Project, server: FaultServer) -> None:
    """They are paid for although the first repeat of every sample has its answer."""
    project.exp()

    code, seen = at_terminal(project, "--repeat", "3", answer="n")

    assert (2, 1) == (code, seen.count(QUESTION)), seen
    assert "24 calls would cost $" in seen
    assert 12 == server.truth()["calls"]


def test_what_waits_for_a_fixture_is_asked_about_when_it_is_made(project: Project, server: FaultServer) -> None:
    """Nothing can be foreseen before it, so it is let through as far as was said; the cases are asked about then."""
    fixture = """
from llmbatch import fixture

@fixture()
async def guide(ask):
    return (await ask("Say something.", model="service/model-a")).value
"""
    asking = ONE_MODEL.replace("ask: Ask)", "ask: Ask, guide: str)").replace("sample)", '{**sample, "guide": guide})')
    project.write_experiment(fixture + asking)
    project.configure("ask_above_usd = 0")
    add_settings(project, PRICED)

    code, seen = at_terminal(project, answer="n")

    assert (2, 1) == (code, seen.count(QUESTION)), seen
    assert "12 calls would cost $" in seen
    assert 1 == server.truth()["calls"]
