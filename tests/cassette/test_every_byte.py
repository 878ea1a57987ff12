"""Every prefix and every changed byte of a small cassette that has a line of every kind."""

from __future__ import annotations

import os
import re
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from llmbatch.call.failure import FailureKind
from llmbatch.call.values import Call, RecordedFailure, Reply
from llmbatch.cassette.segment import FAILURES, SEGMENT, Metadata, SegmentName
from llmbatch.cassette.store import Store
from llmbatch.cassette.tails import cut_torn_tails
from llmbatch.errors import CassetteDamaged

KINDS = (SEGMENT, FAILURES)
METADATA = Metadata(endpoints={"svc": "https://h/v1"}, prices={"svc/m": {"usd_per_million_in": "0.15"}}, ignore=("x",))
TEXT = 'naïve 😀 \u2028\x85\x7f \ufeff\\ " # crc32=00000000'.encode()
BODIES = (b'{"n":1}', TEXT, b"\xff\xfe\x00binary", None)


class Tape(NamedTuple):
    """A cassette: its files' bytes by kind, and what each key has, in the order of the lines."""

    files: dict[str, bytes]
    answers: list[tuple[bytes, Reply]]
    failures: list[tuple[bytes, RecordedFailure]]


def file_of(kind: str) -> str:
    return SegmentName(kind, 1).file


def call_of(store: Store, body: bytes | None) -> Call:
    return store.call(store.request("POST", "https://h/v1", {}, body), 0, 0)


def record_all(store: Store) -> None:
    """Record whatever is missing: answers and failures with every kind of body, in a fixed order."""
    for body in BODIES:
        if store.find(call_of(store, body).key) is None:
            store.record(call_of(store, body), Reply(200, "OK", {}, body or b"", "2026-01-02T03:04:05Z", 7), case="c-é")
    for body in BODIES:
        call = call_of(store, body)
        if store.find_failure(call.key) is None:
            reply = Reply(500, "Oops", {"retry-after": ("1",)}, body, "", 1) if body else None
            store.record_failure(call, FailureKind.SERVER_ERROR, "said 'no' \x1b[2J", reply=reply)


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Tape:
    """The whole cassette."""
    folder = tmp_path_factory.mktemp("whole")
    with Store(folder, record_mode="new_episodes", metadata=METADATA) as store:
        record_all(store)
        keys = [call_of(store, body).key for body in BODIES]
        answers = [(key, store.find(key)) for key in keys]
        failures = [(key, store.find_failure(key)) for key in keys]
        assert store.verify() == []
    files = {kind: (folder / file_of(kind)).read_bytes() for kind in KINDS}
    return Tape(files, [(key, each) for key, each in answers if each], [(key, each) for key, each in failures if each])


@pytest.mark.parametrize("kind", KINDS)
def test_every_prefix_opens_with_what_lies_whole_in_it(
    tmp_path: Path, tape: Tape, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To a reader, which writes nothing; a writer cuts the rest off before it appends, and then all is there again."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # hundreds of syncs that nothing here is about
    whole = tape.files[kind]
    path = tmp_path / file_of(kind)
    for end in range(len(whole) + 1):
        path.write_bytes(whole[:end])
        lines = max(0, whole[:end].count(b"\n") - 3)
        with Store(tmp_path) as store:
            assert [reply for _, reply in tape.answers[: lines * (kind == SEGMENT)]] == [each.reply for each in store]
            assert [each for _, each in tape.failures[: lines * (kind == FAILURES)]] == list(store.failures())
        assert whole[:end] == path.read_bytes()
        cut_torn_tails(tmp_path)
        assert path.read_bytes() == (whole[: whole[:end].rfind(b"\n") + 1] if lines else b"")
        if end % 50 == 0 or end == len(whole) - 1:  # opening to write takes its time
            path.write_bytes(whole[:end])
            with Store(tmp_path, record_mode="new_episodes", metadata=METADATA) as store:
                record_all(store)
            assert whole == path.read_bytes()
            for other in tmp_path.iterdir():
                other.unlink()


def line_start(whole: bytes, at: int) -> int:
    """Return the offset of the line that the byte is in."""
    return whole.rfind(b"\n", 0, at) + 1


def located(problem: str, kind: str) -> int:
    """Return the offset that a problem names, in the file that it must name."""
    found = re.fullmatch(rf"{re.escape(file_of(kind))}: .* \(.*offset (\d+)\)", problem, re.DOTALL)
    assert found is not None, problem
    return int(found[1])


@pytest.mark.parametrize("flip", [0x01, 0x20])
@pytest.mark.parametrize("kind", KINDS)
def test_every_changed_byte_is_located_and_never_served(tmp_path: Path, tape: Tape, kind: str, flip: int) -> None:
    """In the header, in lines, in checksums: `verify` names file and offset, and no look-up gives what was not written.

    Nor does any find nothing, which would be asked and paid for again; but where a file's last newline is gone, and
    with it the line: that is how a killed writer leaves it.
    """
    whole = tape.files[kind]
    header_end = len(whole) - len(whole.split(b"\n", 3)[3])
    seen: Counter[str] = Counter()
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= flip
        (tmp_path / file_of(kind)).write_bytes(changed)
        store = Store(tmp_path)
        problems, start = store.verify(), line_start(whole, at)

        assert problems, at
        offset = located(problems[0], kind)
        assert offset == start or (start < header_end and offset <= start), (at, problems)
        if start >= header_end and at not in range(start, start + 44) and "key reads" in problems[0]:
            assert whole[start + 10 : start + 42].decode() in problems[0]
        with closing(store):
            seen[look_up(store, tape, kind)] += 1

    print(f"{kind}: {len(whole)} bytes, flip {flip:#04x}: all located by verify; when looked up: {dict(seen)}")
    assert seen.total() == len(whole)
    assert 1 == seen["missing"]
    assert 0 == seen["unharmed"]


def look_up(store: Store, tape: Tape, kind: str) -> str:
    """Look everything up; return where the damage was refused, or that a line was not found. Asserts the rest."""
    place = "refused at open"
    try:
        store.open()
        place = "refused when looked up"
        if kind == SEGMENT:
            found = [store.find(key) for key, _ in tape.answers]
            assert all(each is None or each == value for each, (_, value) in zip(found, tape.answers, strict=True))
            return "missing" if None in found else "unharmed"
        failed = [store.find_failure(key) for key, _ in tape.failures]
        assert all(each is None or each == value for each, (_, value) in zip(failed, tape.failures, strict=True))
    except CassetteDamaged as error:
        refused = error
    else:
        return "missing" if None in failed else "unharmed"
    assert store.folder.as_posix() in Path(refused.details["file"]).as_posix()
    assert "fix" in refused.details
    return place
