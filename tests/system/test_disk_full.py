"""A disk that is full or read-only under the real command line: what it says, what it keeps, and how it goes on."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmbatch.cassette.store import Store
from tests.support.fault_server import FaultServer
from tests.support.kills import digest, recorded, undisturbed
from tests.support.project import EXPERIMENT, Project, commits

pytestmark = [pytest.mark.system, pytest.mark.skipif(sys.platform != "linux", reason="limits and mounts are Linux's")]

SAMPLES = 30
SHRUG = """
def shrug(ask):
    async def asked(*arguments):
        try:
            return await ask(*arguments)
        except Exception:
            return Verdict(reasoning_steps=[], category="adaptive")
    return asked
"""
MANY_CALLS = """
from llmbatch import parametrize, task

@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/model-a"])
async def say(sample, client, model):
    for number in range(10):
        asked = [{"role": "user", "content": f"{sample['message']} {number}"}]
        try:
            await client.chat.completions.create(model=model.name, messages=asked)
        except Exception:
            pass
    return {"said": "all"}
"""
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
from llmbatch.cli import main
sys.exit(main())
"""


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A disk of 128 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount(["-t", "tmpfs", "-o", "size=128k", "tmpfs"], folder)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def mount(arguments: list[str], folder: Path) -> None:
    """Mount, or skip and say why it may not be."""
    try:
        said = subprocess.run(["mount", *arguments, str(folder)], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if said.returncode:
        pytest.skip(f"nothing may be mounted here: {said.stderr.strip()}")


def check(project: Project, server: FaultServer, err: str, *, earlier: int = 0) -> None:
    """Assert that the cassette is sound and that what the server answered is in it, or in the message as lost."""
    new = len(recorded(project)) - earlier
    with Store(project.cassette) as store:
        assert [] == store.verify()
    lost = server.truth()["answered"] - new
    assert 0 < new < 2 * SAMPLES
    assert lost >= 1
    number = "1 answer that came" if lost == 1 else f"{lost} answers that came"
    assert f"{number} could not be written: paid for, lost, and asked again by the next run" in err
    assert "DiskError: an answer could not be written" in err
    assert "free space" in err
    assert str(project.cassette / "segment-00001.yaml") in err


@pytest.mark.parametrize("answer", ["await ask", "await shrug(ask)"], ids=["plain", "a task that catches everything"])
def test_a_run_at_a_limit_stops_drains_and_goes_on_when_there_is_room(
    project: Project, server: FaultServer, answer: str
) -> None:
    """Exit code 7; what is on its way is awaited; afterwards nothing that was recorded is asked again.

    A task that catches what the disk said must not make a row of an answer that is not in the cassette.
    """
    project.write_experiment(EXPERIMENT.replace("await ask", answer) + SHRUG)
    project.write_samples(commits(40, first=100))
    project.exp()
    earlier, size = len(recorded(project)), (project.cassette / "segment-00001.yaml").stat().st_size
    server.reset()
    project.write_samples(commits(SAMPLES))
    run = project.start("--concurrency", "4", program=(LIMITED, str(size + 30_000)))  # enough for the rows
    _, err = run.communicate(timeout=120)
    statuses = Counter(project.rows()["llmbatch_status"])
    before, there = server.truth(), recorded(project)
    check(project, server, err, earlier=earlier)
    finished = project.exp()
    after = server.truth()

    assert run.returncode == 7, err
    assert set(statuses) == {"ok", "not_run"}
    assert sum(statuses.values()) == 2 * SAMPLES
    assert f"{statuses['not_run']} of {2 * SAMPLES} cases were not run" in err
    new = len(there) - earlier
    assert before["calls"] <= new + 4  # dispatch ends at once: those lost were in flight
    assert (finished.code, after["calls"]) == (0, before["calls"] + 2 * SAMPLES - new)
    assert {1} == {times for key, times in after["attempts"].items() if key in there}


def test_a_full_file_system_says_so_and_the_run_goes_on_when_there_is_room(
    mounted: Path, tmp_path: Path, server: FaultServer
) -> None:
    """The cassette alone on a small disk, full at some byte of some line."""
    project = Project(tmp_path / "project", server.base_url)
    project.write_samples(commits(SAMPLES))
    ballast = mounted / "ballast"
    ballast.write_bytes(b"x" * 80 * 1024)
    (project.root / "cassettes").mkdir()
    project.cassette.symlink_to(mounted / "study", target_is_directory=True)
    (mounted / "study").mkdir()
    stopped = project.exp("--concurrency", "4")
    there = recorded(project)
    check(project, server, stopped.err)
    ballast.unlink()
    finished = project.exp()

    assert (stopped.code, finished.code) == (7, 0), stopped.err
    assert "No space left on device" in stopped.err or "bytes fitted" in stopped.err
    assert {1} == {times for key, times in server.truth()["attempts"].items() if key in there}
    assert digest(project) == undisturbed(tmp_path / "calm", SAMPLES)


def test_a_disk_with_everything_on_it_is_full_and_says_so(mounted: Path, server: FaultServer) -> None:
    """Then rows and run log do not fit either, and that must not hide what became of the answers."""
    project = Project(mounted / "project", server.base_url)
    project.write_samples(commits(SAMPLES))
    ballast = mounted / "ballast"
    ballast.write_bytes(b"x" * 40 * 1024)
    stopped = project.exp("--concurrency", "4")
    there = recorded(project)
    lost = server.truth()["answered"] - len(there)
    ballast.unlink()

    assert stopped.code == 7, stopped.err
    assert "Traceback" not in stopped.err
    assert "DiskError" in stopped.err
    with Store(project.cassette) as store:
        assert [] == store.verify()
    assert there
    assert (lost > 0) == ("could not be written: paid for" in stopped.err)


def test_a_cassette_on_read_only_media_replays_and_verifies(tmp_path: Path, server: FaultServer) -> None:
    """Nothing is written beside it: replay, verify and iteration open for reading only."""
    project = Project(tmp_path / "project", server.base_url)
    project.write_samples(commits(4))
    assert project.exp().code == 0
    before = digest(project)
    names = sorted(path.name for path in project.cassette.iterdir())
    mount(["--bind", str(project.cassette)], project.cassette)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(project.cassette)], check=True)
        with pytest.raises(OSError, match="Read-only"):
            (project.cassette / "x").touch()
        replayed = project.exp("--offline")
        refused = project.exp()
        with Store(project.cassette) as store:
            assert (8, []) == (len(list(store)), store.verify())
            content = store.content_digest()
        verified = project.command("cassette", "verify", str(project.cassette))
    finally:
        subprocess.run(["umount", str(project.cassette)], check=True)

    assert (replayed.code, verified.code) == (0, 0), replayed.err + verified.err
    assert content in verified.out
    assert digest(project) == before
    assert (refused.code, "--offline" in refused.err) == (7, True), refused.err
    assert names == sorted(path.name for path in project.cassette.iterdir())


def test_a_client_sends_nothing_that_could_not_be_kept(project: Project, server: FaultServer) -> None:
    """Whatever the task makes of the error: no further answer is paid for and lost."""
    project.write_experiment(MANY_CALLS)
    project.write_samples(commits(SAMPLES))
    run = project.start("--concurrency", "4", program=(LIMITED, "30000"))
    _, err = run.communicate(timeout=120)

    assert run.returncode == 7, err
    assert 0 < len(recorded(project)) < server.truth()["calls"] <= len(recorded(project)) + 4
