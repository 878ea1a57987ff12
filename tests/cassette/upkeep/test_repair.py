"""After a repair a cassette is sound, every undamaged line still answers, and no byte is gone."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmbatch.cassette.line import with_crc
from llmbatch.cassette.lock import Lock
from llmbatch.cassette.segment import Metadata, header_bytes
from llmbatch.cassette.store import Store
from llmbatch.cassette.upkeep.repair import Repaired, repair
from llmbatch.errors import CassetteDamaged, CassetteLocked
from tests.support.lines import PRICED, Line, answer, call_of, failure, files_of, write

LINES = [answer(number, "y" * number, metadata=PRICED) for number in range(5)]
HEADER = header_bytes(PRICED)
WHOLE = HEADER + b"".join(line.text for line in LINES)
SEGMENT = "segment-00001.yaml"


def repaired(folder: Path) -> list[Repaired]:
    done = list(repair(folder))
    assert [] == Store(folder).verify()
    assert [] == list(repair(folder))
    assert not (folder / ".lock").exists()
    assert not [path for path in folder.iterdir() if "repairing" in path.name]
    return done


def answered(folder: Path) -> set[int]:
    with Store(folder) as store:
        found = {number: store.find(call_of(number).key) for number in range(5)}
    assert all(reply.body == b"y" * number for number, reply in found.items() if reply is not None)
    return {number for number, reply in found.items() if reply is not None}


def quarantined(folder: Path) -> list[tuple[str, int, bytes]]:
    """Return file, offset and bytes of every piece, as the lines above them say."""
    pieces = []
    for path in sorted(folder.glob("quarantine-*.txt")):
        text, at = path.read_bytes(), 0
        while at < len(text):
            head = re.compile(rb"# (\S+) offset (\d+), (\d+) bytes:\n").match(text, at)
            assert head is not None
            end = head.end() + int(head[3])
            pieces.append((head[1].decode(), int(head[2]), text[head.end() : end]))
            at = end if text[end - 1 : end] == b"\n" else end + 1
    return pieces


def spans() -> list[tuple[int, int]]:
    found, at = [], len(HEADER)
    for line in LINES:
        found.append((at, at + len(line.text)))
        at += len(line.text)
    return found


@settings(max_examples=60)
@given(flips=st.dictionaries(st.integers(0, len(WHOLE) - 1), st.integers(1, 255), min_size=1, max_size=4))
def test_bytes_changed_anywhere_cost_only_the_lines_that_they_are_in(flips: dict[int, int]) -> None:
    """In a body, a checksum, a line break (which glues two lines), the header; what is whole and true stays."""
    changed = bytearray(WHOLE)
    for at, flip in flips.items():
        changed[at] ^= flip
    untouched = {number for number, (start, end) in enumerate(spans()) if not any(start <= at < end for at in flips)}
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / SEGMENT).write_bytes(changed)
        (done,) = repaired(folder)

        assert untouched <= answered(folder)
        assert (done.kept, done.file) == (len(answered(folder)), folder / SEGMENT)
        pieces = quarantined(folder)
        assert (len(pieces), sum(len(piece) for _, _, piece in pieces)) == (done.pieces, done.quarantined_bytes)
        for source, offset, piece in pieces:
            assert SEGMENT == source
            assert bytes(changed[offset : offset + len(piece)]) == piece
        assert all(any(offset <= at < offset + len(piece) for _, offset, piece in pieces) for at in flips)


@pytest.mark.parametrize("end", [0, 1, 30, len(HEADER) - 1, len(HEADER), len(HEADER) + 1, len(WHOLE) - 1, len(WHOLE)])
def test_a_torn_end_is_cut_off_and_kept_aside(tmp_path: Path, end: int) -> None:
    """At any length; a header without an interaction goes, too, since stock vcrpy cannot load it."""
    (tmp_path / SEGMENT).write_bytes(WHOLE[:end])
    done = repaired(tmp_path)

    whole = WHOLE[:end].count(b"\n") - 3
    assert set(range(max(0, whole))) == answered(tmp_path)
    kept = (tmp_path / SEGMENT).read_bytes()
    assert WHOLE[:end] == kept + b"".join(piece for _, _, piece in sorted(quarantined(tmp_path)))
    assert bool(done) == (end not in {0, len(WHOLE)})


@pytest.mark.parametrize("at", [5, len(HEADER) - 20, len(HEADER) - 16, len(HEADER) - 1])
def test_metadata_whose_checksum_is_right_outlives_a_broken_header(tmp_path: Path, at: int) -> None:
    """The version, the third line and each line break of the header may break: prices and endpoints stay."""
    changed = bytearray(WHOLE)
    changed[at] ^= 0x01
    (tmp_path / SEGMENT).write_bytes(changed)
    (done,) = repaired(tmp_path)

    lost = HEADER.index(b"{") <= at < HEADER.index(b"\ninteractions")
    assert lost == done.header_lost
    assert set(range(5)) == answered(tmp_path)
    assert (tmp_path / SEGMENT).read_bytes().startswith(header_bytes(Metadata()) if lost else HEADER)


def test_a_line_with_anothers_key_is_set_aside(tmp_path: Path) -> None:
    """Its checksum is right, and yet it would answer a question that it was not an answer to."""
    foreign = Line(answer(1).text, "segment", PRICED)
    text = foreign.text.replace(call_of(1).key.hex().encode(), call_of(4).key.hex().encode())
    forged = with_crc(b"- ", text[2:-18])
    (tmp_path / SEGMENT).write_bytes(HEADER + LINES[0].text + forged + failure(2, "x").text)
    (done,) = repaired(tmp_path)

    assert ({0}, 2, 1) == (answered(tmp_path), done.pieces, done.kept)


def test_files_without_a_problem_are_not_touched_and_quarantines_are_numbered(tmp_path: Path) -> None:
    """One file a repaired segment; a later repair begins another."""
    folder = write(
        tmp_path / "c", [answer(1), failure(1, "x"), Line(answer(2).text, file=1), Line(answer(3).text, file=2)]
    )
    sound = files_of(folder)
    for name in ("failures-00001.yaml", "segment-00002.yaml"):
        path = folder / name
        path.write_bytes(path.read_bytes()[:-5])
    assert ["quarantine-00001.txt", "quarantine-00002.txt"] == [done.quarantine.name for done in repaired(folder)]
    (folder / "segment-00003.yaml").write_bytes(b"version: 1\nnonsense\n")
    (done,) = repaired(folder)

    assert "quarantine-00003.txt" == done.quarantine.name
    assert sound["segment-00001.yaml"] == files_of(folder)["segment-00001.yaml"]
    assert 0 == (folder / "segment-00003.yaml").stat().st_size


def test_a_line_beyond_the_cap_is_moved_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never held whole, whatever its length; what follows it answers."""
    monkeypatch.setattr("llmbatch.cassette.segment.RECORD_CAP", 4000)
    monkeypatch.setattr("llmbatch.cassette.upkeep.repair.RECORD_CAP", 4000)
    huge = b"- " + b"x" * 50_000 + b"\n"
    (tmp_path / SEGMENT).write_bytes(HEADER + LINES[0].text + huge + LINES[1].text)
    (done,) = repaired(tmp_path)

    assert {0, 1} == answered(tmp_path)
    assert huge == b"".join(piece for _, _, piece in quarantined(tmp_path))
    assert done.pieces > 10


@pytest.mark.parametrize(
    "content", [b"interactions:\n- request: {}\nversion: 1\n", header_bytes(Metadata(format=2)) + LINES[0].text]
)
def test_what_is_not_ours_is_left_alone(tmp_path: Path, content: bytes) -> None:
    """vcrpy's own style and a newer format are no damage, and a repair would throw them away."""
    (tmp_path / SEGMENT).write_bytes(content)
    with pytest.raises(CassetteDamaged, match=r"block style|format 2"):
        list(repair(tmp_path))

    assert [SEGMENT] == [path.name for path in tmp_path.iterdir()]
    assert content == (tmp_path / SEGMENT).read_bytes()


def test_a_cassette_that_is_being_recorded_is_not_repaired(tmp_path: Path) -> None:
    """Its last line may be on its way."""
    write(tmp_path / "c", [answer(1)])
    lock = Lock(tmp_path / "c").take()

    with pytest.raises(CassetteLocked):
        list(repair(tmp_path / "c"))
    lock.release()


def test_a_link_out_of_the_cassette_is_never_written_through(tmp_path: Path) -> None:
    """Neither a segment nor a name that the repair itself would use."""
    outside = tmp_path / "outside"
    outside.write_bytes(WHOLE[:-5])
    folder = write(tmp_path / "c", [answer(1)])
    (folder / SEGMENT).write_bytes(WHOLE[:-5])
    (folder / f".{SEGMENT}.unfinished").symlink_to(outside)
    (folder / "quarantine-00001.txt").symlink_to(outside)
    (done,) = repaired(folder)
    (folder / "segment-00002.yaml").symlink_to(outside)
    with pytest.raises(CassetteDamaged, match="leads out"):
        list(repair(folder))

    assert "quarantine-00002.txt" == done.quarantine.name
    assert WHOLE[:-5] == outside.read_bytes()
