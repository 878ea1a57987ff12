"""The process dies at one chosen moment inside the write path: each is tried once, and the same command goes on."""

from __future__ import annotations

import os

import pytest

from llmbatch.cassette.store import Store
from tests.support.fault_server import FaultServer
from tests.support.kills import KILLED, digest, dying, recorded, undisturbed
from tests.support.project import Project, commits

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.name == "nt", reason="a process cannot send itself SIGKILL there"),
]

SAMPLES, SEGMENT_BYTES = 3, 5000  # six answers, two or three to a segment
ALONE = ("exp", "experiments/study.py", "--concurrency", "1")

POINTS = {
    "a lock was drafted and says nothing yet": "before write .lock 1",
    "the first file is there and empty": "after create segment-00001 1",
    "half of the header and the first line": "half write segment-00001 1",
    "an answer has come and nothing of it is written": "before write segment-00001 2",
    "half of a line": "half write segment-00001 2",
    "a line is whole and not in the index": "after write segment-00001 2",
    "a line is not on the medium": "before sync segment-00001 1",
    "a line is on the medium and its file's name is not": "before sync-folder . 2",
    "half of the header of the second file": "half write segment-00002 1",
}


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The rows of a run that nothing happened to."""
    return undisturbed(tmp_path_factory.mktemp("calm"), SAMPLES)


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS)
def test_the_same_command_goes_on_wherever_it_was_killed(
    project: Project, server: FaultServer, calm: str, point: str
) -> None:
    """What was recorded is not asked again, at most one call is paid twice, and the rows are those of a calm run."""
    project.write_samples(commits(SAMPLES))
    arguments = (*ALONE, "--durability", "power")
    killed = dying(project.root, project.cassette, point, arguments, segment_bytes=SEGMENT_BYTES)
    there = recorded(project)
    before = server.truth()["attempts"]

    finished = project.exp()
    after = server.truth()["attempts"]

    assert killed.code == KILLED, killed.err
    assert finished.code == 0, finished.err
    assert {key: before[key] for key in there} == {key: after[key] for key in there}
    assert 2 * SAMPLES <= sum(after.values()) <= 2 * SAMPLES + 1
    assert digest(project) == calm
    with Store(project.cassette) as store:
        assert (2 * SAMPLES, []) == (len(store), store.verify())


@pytest.mark.parametrize("point", ["before create generation 1", "after create generation 1"])
def test_a_generation_killed_at_its_mark_serves_whole_or_not_at_all(
    project: Project, server: FaultServer, point: str
) -> None:
    """The mark is one file that is there or not; the same command makes it without a call."""
    project.write_samples(commits(SAMPLES))
    project.exp()
    again = (*ALONE, "--record-mode", "all")
    killed = dying(project.root, project.cassette, point, again)
    calls = server.truth()["calls"]
    marked = (project.cassette / "generation-1.complete").exists()
    with Store(project.cassette) as store:
        served = {each.generation for each in store}
    finished = project.exp("--record-mode", "new_episodes" if marked else "all")

    assert killed.code == KILLED, killed.err
    assert marked == point.startswith("after")
    assert {1 if marked else 0} == served
    assert (finished.code, server.truth()["calls"]) == (0, calls), finished.err
    with Store(project.cassette) as store:
        assert ({1}, []) == ({each.generation for each in store}, store.verify())


def test_a_run_killed_while_it_takes_over_a_stale_lock_keeps_nobody_out(project: Project, server: FaultServer) -> None:
    """The lock is moved aside and a new one made: in between there is none."""
    project.write_samples(commits(SAMPLES))
    first = dying(project.root, project.cassette, "after write segment-00001 2", ALONE)
    second = dying(project.root, project.cassette, "after rename .lock 1", ALONE)
    finished = project.exp()

    assert [KILLED, KILLED, 0] == [first.code, second.code, finished.code], finished.err
    assert {1} == set(server.truth()["attempts"].values())
