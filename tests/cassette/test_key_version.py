"""A cassette that an older llmbatch recorded keeps answering; one of a newer llmbatch is refused by name."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from llmbatch.call.key import KEY_VERSION
from llmbatch.call.values import Call, Reply
from llmbatch.cassette.line import encode
from llmbatch.cassette.segment import Metadata, header_bytes
from llmbatch.cassette.store import Mode, Store
from llmbatch.errors import CassetteDamaged

OLD = Metadata(key_version=KEY_VERSION - 1)


def call_of(number: int) -> Call:
    store = Store(Path())
    return store.call(store.request("POST", "https://e/v1", {}, b'{"n":%d}' % number), 0, 0)


def old_line(number: int, text: str) -> bytes:
    """Return a line whose key was computed in some other way."""
    call = call_of(number)
    old = Call(call.request, call.repeat, call.ordinal, b"old %12d" % number)
    return encode(old, Reply(200, "OK", {}, text.encode()), generation=0, case=None)


def put(folder: Path, name: str, metadata: Metadata, *lines: bytes) -> Path:
    path = folder / name
    path.write_bytes(header_bytes(metadata) + b"".join(lines))
    return path


def test_lines_of_an_older_key_version_are_found_by_the_key_of_today(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The request is in the line: looked up, iterated and digested as if it had been recorded today."""
    put(tmp_path, "segment-00001.yaml", OLD, *(old_line(number, f"r{number}") for number in range(3)))
    today = tmp_path / "today"
    with Store(today, record_mode="new_episodes") as store:
        for number in range(3):
            store.record(call_of(number), Reply(200, "OK", {}, b"r%d" % number))
        digest = store.content_digest()
    caplog.set_level(logging.WARNING)
    with Store(tmp_path) as store:
        for number in range(3):
            assert Reply(200, "OK", {}, b"r%d" % number) == store.find(call_of(number).key)
        assert [call_of(number) for number in range(3)] == [each.call for each in store]
        assert digest == store.content_digest()
        assert store.find(b"old %12d" % 1) is None
        assert store.verify() == []

    (record,) = caplog.records
    assert "3 lines have keys of an older llmbatch" in record.getMessage()
    assert "cassette merge" in record.getMessage()


def test_recording_goes_on_in_a_new_file_and_one_rule_holds_over_both(tmp_path: Path) -> None:
    """No file has keys of two versions, and an old line answers as long as it wins."""
    old = put(tmp_path, "segment-00001.yaml", OLD, old_line(1, "old"))
    before = old.read_bytes()
    with Store(tmp_path, record_mode="new_episodes") as store:
        assert (store.record(call_of(1), Reply(200, "OK", {}, b"late"))).body == b"old"
        store.record(call_of(2), Reply(200, "OK", {}, b"new"))
        store.refresh()
        assert len(store) == 2
    with Store(tmp_path) as store:
        assert [b"old", b"new"] == [each.reply.body for each in store]

    assert before == old.read_bytes()
    assert (tmp_path / "segment-00002.yaml").exists()


@pytest.mark.parametrize("metadata", [Metadata(key_version=KEY_VERSION + 1), Metadata(format=2)])
def test_a_newer_file_is_refused_by_name(tmp_path: Path, metadata: Metadata) -> None:
    """By our rules its requests would seem never asked, and be paid again."""
    put(tmp_path, "segment-00001.yaml", Metadata(), old_line(1, "x"))
    path = put(tmp_path, "segment-00002.yaml", metadata, old_line(2, "x"))

    modes: tuple[Mode, ...] = ("none", "new_episodes")
    for mode in modes:
        with pytest.raises(CassetteDamaged, match=f"key versions up to {KEY_VERSION}") as caught:
            Store(tmp_path, record_mode=mode).open()
        assert (str(path), "use a newer llmbatch") == (caught.value.details["file"], caught.value.details["fix"])
    assert not (tmp_path / ".lock").exists()
