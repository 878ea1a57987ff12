"""A disk that does not take a line is an error, and never a damaged cassette."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from llmbatch.call.values import Reply
from llmbatch.cassette.appender import Appender
from llmbatch.cassette.segment import SEGMENT, Metadata
from llmbatch.cassette.store import Store
from llmbatch.errors import DiskError, ExitCode
from tests.support.disk import Disk, Step

FILL = """
import resource, sys
from pathlib import Path
from llmbatch.call.values import Reply
from llmbatch.cassette.store import Store
from llmbatch.errors import DiskError

folder, limit = Path(sys.argv[1]), int(sys.argv[2])
with Store(folder, record_mode="new_episodes") as store:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    written = 0
    try:
        while True:
            call = store.call(store.request("POST", "https://h/v1", {}, b"%d" % written), 0, 0)
            store.record(call, Reply(200, "OK", {}, b"x" * 700), case=None)
            written += 1
    except DiskError as error:
        assert len(store) == written
        print(written, error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    store.record(call, Reply(200, "OK", {}, b"after"), case=None)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_FSIZE is set with the resource module")
@pytest.mark.parametrize("limit", [300, 1500, 5000])
def test_a_full_disk_leaves_whole_lines_only(tmp_path: Path, limit: int) -> None:
    """At the limit the first write comes back short without an error: half a line must not stay."""
    run = subprocess.run(
        [sys.executable, "-c", FILL, str(tmp_path), str(limit)], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    written = int(run.stdout.split()[0])

    with Store(tmp_path) as store:
        bodies = [each.reply.body for each in store]
        assert store.verify() == []
    assert [b"x" * 700] * written + [b"after"] == bodies
    for word in ("segment-00001.yaml", "bytes", "fix", "free space"):
        assert word in run.stdout


def test_a_write_error_names_file_bytes_and_fix(tmp_path: Path) -> None:
    """And the exit code is the disk's."""
    full = Disk(tmp_path, lambda number, step: errno.ENOSPC if step.operation == "write" else None)
    appender = Appender(tmp_path, SEGMENT, Metadata(), segment_bytes=1000)

    with full, pytest.raises(DiskError, match="No space left") as caught:
        appender.append(b"- {}\n")
    assert str(tmp_path / "segment-00001.yaml") == caught.value.details["file"]
    assert {"file", "bytes", "fix"} == set(caught.value.details)
    assert caught.value.exit_code == ExitCode.DISK
    appender.close()
    assert (tmp_path / "segment-00001.yaml").stat().st_size == 0


def test_closing_syncs_what_was_written_once(tmp_path: Path) -> None:
    """A power cut after the run loses nothing; an idle cassette is not synced."""
    appender = Appender(tmp_path, SEGMENT, Metadata(), segment_bytes=1000)
    with Disk(tmp_path) as disk:
        appender.append(b"- {}\n")
        assert Step("sync", "segment-00001.yaml") not in disk.steps
        appender.close()
        appender.close()

    assert disk.steps.count(Step("sync", "segment-00001.yaml")) == 1


def test_a_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "cassette").write_text("", encoding="utf-8")

    with pytest.raises(DiskError, match="cannot be written") as caught:
        Store(tmp_path / "cassette", record_mode="new_episodes").open()
    assert "--offline" in caught.value.details["fix"]


def test_a_record_is_on_disk_when_record_returns(tmp_path: Path) -> None:
    """A process that is killed right after loses nothing."""
    script = FILL.split("    resource.setrlimit", maxsplit=1)[0].replace("import resource, sys", "import os, sys")
    script += """
    for number in range(50):
        call = store.call(store.request("POST", "https://h/v1", {}, b"%d" % number), 0, 0)
        store.record(call, Reply(200, "OK", {}, b"x"), case=None)
    os.kill(os.getpid(), 9)
"""
    run = subprocess.run([sys.executable, "-c", script, str(tmp_path), "0"], check=False)

    assert run.returncode != 0
    with Store(tmp_path, record_mode="new_episodes") as store:
        assert len(list(store)) == 50
        assert Reply(200, "OK", {}, b"x") == next(iter(store)).reply
