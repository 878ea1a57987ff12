"""Merged, split and scrubbed cassettes replay to the same tables; a pinned digest holds a run to its cassette."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

from llmbatch.cassette.store import Store
from llmbatch.cassette.upkeep.remaking.merge import merge
from llmbatch.cassette.upkeep.remaking.split import split
from llmbatch.tables.write import VOLATILE_COLUMNS, frame_digest
from tests.support.fault_server import FaultServer
from tests.support.project import Finished, Project, commits

pytestmark = pytest.mark.system

SAMPLES = [*commits(8), {"id": "bad", "message": "[[500]] never", "label": "adaptive"}]
SAMPLES += [{"id": "long", "message": "[[context]] too long", "label": "adaptive"}]


def tables(project: Project, *arguments: str) -> dict[str, bytes]:
    """Replay offline and return the bytes of rows and tables."""
    finished = project.exp("--offline", *arguments)
    assert finished.code in {0, 1}, finished.err
    folder = project.rows_file().parent
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.parquet")}


@pytest.fixture
def whole(project: Project) -> Project:
    """A project that is recorded at once, with failures in it."""
    project.configure("max_retries = 0")
    project.write_samples(SAMPLES)
    assert project.exp().code == 1
    return project


def test_partial_recordings_merge_to_what_one_recording_replays(
    whole: Project, server: FaultServer, tmp_path: Path
) -> None:
    """Recorded on two machines, one model each and some cases twice: rows and tables are the same, byte for byte."""
    parts = []
    for number, arguments in enumerate(
        [("--model", "service/model-a"), ("--model", "service/model-b"), ("--limit", "3")]
    ):
        machine = Project(tmp_path / f"machine{number}", server.base_url, settings="max_retries = 0")
        machine.write_samples(SAMPLES)
        machine.exp(*arguments)
        parts.append(machine.cassette)
    result = merge(parts, tmp_path / "merged", print)

    assert 0 == result.conflicts
    with Store(whole.cassette) as store:
        assert (len(store), store.content_digest()) == (result.after.answers, result.after.digest)
    expected, found = tables(whole), tables(whole, "--cassette", str(tmp_path / "merged"))
    assert digests(expected) == digests(found)


def digests(found: dict[str, bytes]) -> dict[str, str]:
    """Return a digest of each table but for times, which are those of two recordings."""
    frames = {name: pl.read_parquet(content) for name, content in found.items()}
    return {name: frame_digest(frame, without=VOLATILE_COLUMNS) for name, frame in frames.items()}


def test_a_merge_and_a_split_of_one_recording_replay_byte_for_byte(whole: Project, tmp_path: Path) -> None:
    """Times included: these are the same recordings."""
    split(whole.cassette, tmp_path / "parts", print, by="model")
    merge(list((tmp_path / "parts").iterdir()), tmp_path / "again", print)
    shutil.copytree(whole.cassette, tmp_path / "copy")
    merge([tmp_path / "copy", tmp_path / "again", whole.cassette], tmp_path / "merged", print)

    expected = tables(whole)
    assert expected
    assert expected == tables(whole, "--cassette", str(tmp_path / "again"))
    assert expected == tables(whole, "--cassette", str(tmp_path / "merged"))


def pinned(project: Project, digest: str, *arguments: str) -> Finished:
    return project.exp("--expect-digest", digest, *arguments)


def test_a_run_is_held_to_the_digest_before_its_first_call(whole: Project, server: FaultServer) -> None:
    """Offline and recording, in mode `all` too: with another digest nothing is called, and both are named."""
    with Store(whole.cassette) as store:
        digest = store.content_digest()
    other = "0" * 64
    server.reset()
    for arguments in (("--offline",), (), ("--record-mode", "all")):
        refused = pinned(whole, other, *arguments)
        assert 4 == refused.code
        assert "CassetteDamaged: the recorded answers are not those that were pinned" in refused.err
        assert digest in refused.err
        assert other in refused.err
        assert "fix" in refused.err

    assert 0 == server.truth()["calls"]
    assert 1 == pinned(whole, digest.upper(), "--offline").code
    assert 1 == pinned(whole, digest).code
    assert server.truth()["calls"] > 0
