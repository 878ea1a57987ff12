"""A cassette that is not what was written is never served: cut tails are dropped, changed bytes are named."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import vcr
import yaml

from llmbatch.call.values import Call, Reply
from llmbatch.cassette.segment import Metadata, header_bytes
from llmbatch.cassette.store import Store
from llmbatch.errors import CassetteDamaged

URL = "https://api.example.com/v1"
SEGMENT = "segment-00001.yaml"


def call_of(store: Store, number: int) -> Call:
    return store.call(store.request("POST", URL, {}, b'{"n":%d}' % number), 0, 0)


def fill(folder: Path, count: int) -> bytes:
    with Store(folder, record_mode="new_episodes") as store:
        for number in range(count):
            store.record(call_of(store, number), Reply(200, "OK", {}, b"r%d" % number), case=None)
    return (folder / SEGMENT).read_bytes()


def put(folder: Path, content: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / SEGMENT
    path.write_bytes(content)
    return path


def test_a_cut_tail_is_reported_by_file_and_bytes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Half a line is no answer, and nobody is left to wonder where it went."""
    put(tmp_path, fill(tmp_path, 1) + b'- {"key":"half')
    caplog.set_level(logging.WARNING)
    with Store(tmp_path, record_mode="new_episodes") as store:
        assert len(store) == 1

    (record,) = caplog.records
    assert f"{tmp_path / SEGMENT}: cut off 14 bytes" in record.getMessage()


def test_a_changed_line_is_named_at_open(tmp_path: Path) -> None:
    """With the file, the offset and the key: were it looked up, it might be a miss, and be paid for again."""
    whole = fill(tmp_path, 3)
    path = put(tmp_path, whole.replace(b'"string":"r1"', b'"string":"r9"'))
    offset = [at for at in range(len(whole)) if whole.startswith(b"- {", at)][1]
    key = whole[offset + 10 : offset + 42].decode()

    with pytest.raises(CassetteDamaged, match=f"checksum does not match; its key reads {key}") as caught:
        Store(tmp_path).open()
    assert (str(path), str(offset)) == (caught.value.details["file"], caught.value.details["offset"])
    assert [f"offset {offset}" in problem for problem in Store(tmp_path).verify()] == [True]


def test_an_answer_that_is_changed_after_opening_is_named_when_it_is_looked_up(tmp_path: Path) -> None:
    """What stands in the index is no proof; other lines are served on."""
    whole = fill(tmp_path, 3)
    with Store(tmp_path) as store:
        good, bad = call_of(store, 0).key, call_of(store, 1).key
        put(tmp_path, whole.replace(b'"string":"r1"', b'"string":"r9"'))

        assert store.find(good) is not None
        with pytest.raises(CassetteDamaged, match="checksum"):
            store.find(bad)
        with pytest.raises(CassetteDamaged, match="checksum"):
            list(store)


@pytest.mark.parametrize(
    ("old", "new"),
    [(b'- {"key":"', b'- {"kez":"'), (b" # crc32=", b" # crc33="), (b'"generation":0', b'"generation":x')],
)
def test_a_line_whose_frame_is_broken_is_named_at_open(tmp_path: Path, old: bytes, new: bytes) -> None:
    """Its key cannot be known, so a lookup could not find it damaged."""
    whole = fill(tmp_path, 2)
    at = whole.rindex(old)
    path = put(tmp_path, whole[:at] + new + whole[at + len(old) :])

    with pytest.raises(CassetteDamaged) as caught:
        Store(tmp_path).open()
    assert str(path) == caught.value.details["file"]
    assert whole.rindex(b"- {") == int(caught.value.details["offset"])
    assert "fix" in caught.value.details


def test_a_damaged_cassette_leaves_no_lock(tmp_path: Path) -> None:
    """Whoever repairs it can go on at once."""
    put(tmp_path, b"version: 2\nmetadata: {}\ninteractions:\n")
    with pytest.raises(CassetteDamaged, match="does not open as a segment"):
        Store(tmp_path, record_mode="new_episodes").open()

    assert [path.name for path in tmp_path.iterdir()] == [SEGMENT]


def test_a_file_that_vcrpy_saved_again_is_recognised(tmp_path: Path) -> None:
    """Stock vcrpy rewrites a cassette in block style and drops the keys."""
    fill(tmp_path, 1)
    path = tmp_path / SEGMENT
    cassette = vcr.VCR(record_mode="all").use_cassette(str(path))
    with cassette as opened:
        opened.dirty = True
    assert path.read_text(encoding="utf-8").startswith("interactions:\n")

    with pytest.raises(CassetteDamaged, match="block style") as caught:
        Store(tmp_path).open()
    assert str(path) == caught.value.details["file"]


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    """Reading it by our rules could give a wrong answer."""
    put(tmp_path, header_bytes(Metadata(format=2)) + b"\n")

    with pytest.raises(CassetteDamaged, match="has format 2"):
        Store(tmp_path).open()


def test_verify_computes_each_key_again(tmp_path: Path) -> None:
    """A line with a valid checksum and somebody else's key is found."""
    whole = fill(tmp_path, 2)
    with Store(tmp_path, record_mode="new_episodes") as store:
        wrong = Call(call_of(store, 7).request, 0, 0, b"k" * 16)
        store.record(wrong, Reply(200, "OK", {}, b"x"), case=None)

        (problem,) = store.verify()
    assert f"(offset {len(whole)})" in problem
    assert "is not the key of the request" in problem


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    """No name in a shared cassette leads to another file of ours."""
    fill(tmp_path / "other", 1)
    folder = tmp_path / "cassette"
    folder.mkdir()
    (folder / SEGMENT).symlink_to(tmp_path / "other" / SEGMENT)

    with pytest.raises(CassetteDamaged, match="leads out"):
        Store(folder).open()
    assert Store(folder).verify()


def test_hostile_tags_are_text(tmp_path: Path) -> None:
    """Lines are read as JSON: no tag builds an object, whatever the checksum says."""
    text = b"- !!python/object/apply:os.system [touch pwned]\n"
    put(tmp_path, header_bytes(Metadata()) + text)

    with pytest.raises(CassetteDamaged):
        Store(tmp_path).open()
    with pytest.raises(yaml.YAMLError):
        yaml.safe_load(text)
