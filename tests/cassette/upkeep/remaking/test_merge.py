"""A merged cassette is a function of the lines of its sources, and answers as they do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmbatch.call.key import IGNORED, KEY_VERSION
from llmbatch.call.values import Reply
from llmbatch.cassette.line import with_crc
from llmbatch.cassette.lock import Lock
from llmbatch.cassette.segment import Metadata
from llmbatch.cassette.store import Store
from llmbatch.cassette.upkeep.remaking.arranging import Conflict
from llmbatch.cassette.upkeep.remaking.merge import Merged, merge
from llmbatch.errors import CassetteDamaged, CassetteLocked, UsageError
from tests.support.lines import PLAIN, PRICED, Line, answer, any_line, call_of, failure, files_of, write


def merged(target: Path, *sources: Path, segment_bytes: int = 1200) -> dict[str, str]:
    merge(sources, target, lambda _: None, segment_bytes=segment_bytes)
    return files_of(target)


def with_conflicts(target: Path, *sources: Path) -> tuple[Merged, list[Conflict]]:
    conflicts: list[Conflict] = []
    return merge(sources, target, conflicts.append), conflicts


def bodies(folder: Path) -> list[bytes]:
    with Store(folder) as store:
        assert [] == store.verify()
        return sorted(each.reply.body for each in store)


# the same bytes for the same lines -------------------------------------------------------------------------


@settings(max_examples=25)
@given(data=st.data(), lines=st.lists(any_line(), max_size=12), complete=st.sets(st.sampled_from([1, 2])))
def test_order_partition_and_copies_make_no_difference(
    data: st.DataObject, lines: list[Line], complete: set[int]
) -> None:
    """P13: whatever the order, the files, the folders and the number of copies; small files, so that they roll over."""
    marks = sorted(complete)
    again = data.draw(st.lists(st.sampled_from(lines), max_size=5)) if lines else []
    shuffled = data.draw(st.permutations([*lines, *again]))
    laid_out = [replace(line, file=data.draw(st.integers(0, 1))) for line in shuffled]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(laid_out)), min_size=2, max_size=2)))
    with TemporaryDirectory() as name:
        root = Path(name)
        whole = write(root / "whole", lines, marks)
        pieces = [laid_out[: cuts[0]], laid_out[cuts[0] : cuts[1]], laid_out[cuts[1] :]]
        parts = [write(root / f"part{number}", part, marks) for number, part in enumerate(pieces)]

        expected = merged(root / "expected", whole)

        assert expected == merged(root / "parts", *reversed(parts))
        assert expected == merged(root / "again", root / "expected")
        assert expected == merged(root / "staged", merged_folder(root / "first", *parts[:2]), parts[2])


def merged_folder(target: Path, *sources: Path) -> Path:
    merged(target, *sources)
    return target


@settings(max_examples=25)
@given(lines=st.lists(any_line(), max_size=12), complete=st.sets(st.sampled_from([1, 2])))
def test_a_single_cassette_answers_as_before(lines: list[Line], complete: set[int]) -> None:
    """The same answers and the same last failures, among them those of generations that are not complete."""
    with TemporaryDirectory() as name:
        source = write(Path(name) / "source", lines, sorted(complete))
        result = merge([source], Path(name) / "target", lambda _: None, segment_bytes=900)
        with Store(source) as before, Store(Path(name) / "target") as after:
            assert [] == after.verify()
            assert {each.call.key: each for each in before} == {each.call.key: each for each in after}
            assert [(source, result.after)] == result.before
            assert before.generation == after.generation


def test_lines_are_sorted_by_key_in_groups_of_equal_metadata(tmp_path: Path) -> None:
    """A reader can find its way, and git sees small changes."""
    lines = [
        answer(number, metadata=metadata) for number, metadata in enumerate([PRICED, PLAIN, PRICED, PLAIN, PRICED])
    ]
    write(tmp_path / "source", lines)
    merge([tmp_path / "source"], tmp_path / "target", lambda _: None)

    files = [path.read_bytes().splitlines(keepends=True) for path in sorted((tmp_path / "target").iterdir())]
    keys = [[line[10:42] for line in file[3:]] for file in files]
    assert [sorted(call_of(number).key.hex().encode() for number in group) for group in ([0, 2, 4], [1, 3])] == keys


def test_files_end_before_the_line_that_would_make_them_too_long(tmp_path: Path) -> None:
    """Code hosts refuse files above a size; only a line that is longer by itself is alone in a longer file."""
    lines = [answer(number, "x" * size) for number, size in enumerate([10, 900, 3000, 900, 10, 900, 10, 2000])]
    write(tmp_path / "source", lines)
    merge([tmp_path / "source"], tmp_path / "target", lambda _: None, segment_bytes=3000)

    files = sorted((tmp_path / "target").iterdir())
    assert len(files) > 2
    too_long = [path for path in files if path.stat().st_size > 3000]
    assert [1] == [path.read_bytes().count(b"- {") for path in too_long]
    assert len(lines) == len(bodies(tmp_path / "target"))


# answers that collide --------------------------------------------------------------------------------------


def test_two_answers_to_one_call_are_a_conflict_and_both_are_kept(tmp_path: Path) -> None:
    """The smallest line stays; the other was paid for, and is there to be looked at."""
    here, there = write(tmp_path / "here", [answer(1, "no")]), write(tmp_path / "there", [answer(1, "yes")])
    result, conflicts = with_conflicts(tmp_path / "target", there, here)

    (conflict,) = conflicts
    assert (call_of(1).key.hex(), "task[x]::1", "m1") == (conflict.key, conflict.case, conflict.model)
    assert f"{here / 'segment-00001.yaml'} offset " in conflict.kept
    assert f"{there / 'segment-00001.yaml'} offset " in conflict.set_aside
    assert (1, 1, 1) == (result.conflicts, result.set_aside, result.failures)
    assert [b"no"] == bodies(tmp_path / "target")
    with Store(tmp_path / "target") as store:
        (duplicate,) = store.failures()
        assert duplicate.reply is not None
        assert ("duplicate", b"yes") == (duplicate.kind, duplicate.reply.body)


def test_equal_answers_of_different_times_are_no_conflict(tmp_path: Path) -> None:
    """Two runs against a deterministic service; the second was paid for, so its line is kept as a duplicate."""
    early, late = answer(1, at="2026-01-01T00:00:00Z"), answer(1, at="2026-01-02T00:00:00Z")
    sources = write(tmp_path / "here", [late]), write(tmp_path / "there", [early])
    result, conflicts = with_conflicts(tmp_path / "target", *sources)

    assert [] == conflicts
    assert (0, 1, 1, 0) == (result.conflicts, result.set_aside, result.failures, result.repeated)


def test_answers_of_several_complete_generations_all_stay(tmp_path: Path) -> None:
    """And the highest answers."""
    lines = [answer(1, "old"), answer(1, "new", generation=1), answer(1, "begun", generation=2)]
    write(tmp_path / "source", lines, [1])
    result, conflicts = with_conflicts(tmp_path / "target", tmp_path / "source")

    assert ([], 0) == (conflicts, result.failures)
    assert [b"new"] == bodies(tmp_path / "target")
    assert 3 == (tmp_path / "target" / "segment-00001.yaml").read_bytes().count(b"- {")


@pytest.mark.parametrize("empty_has_mark", [True, False])
def test_a_generation_complete_here_and_begun_there_is_refused(tmp_path: Path, empty_has_mark: bool) -> None:
    """Its mark would let answers in that do not answer in their own cassette, or silence those that do."""
    done = write(tmp_path / "done", [answer(1, "old"), answer(1, "new", generation=1)], [1])
    begun = write(tmp_path / "begun", [answer(2, generation=1)])
    without = write(tmp_path / "without", [answer(3)], [1] if empty_has_mark else [])
    with pytest.raises(UsageError, match=r"generation 1 is complete in .*done and only begun in .*begun") as caught:
        merge([without, done, begun] if not empty_has_mark else [done, begun, without], tmp_path / "target", print)

    assert "--record-mode all" in caught.value.details["fix"]
    assert not (tmp_path / "target").exists()
    merge([done, without], tmp_path / "target", print)
    assert (tmp_path / "target" / "generation-1.complete").exists()
    assert [b"new", b"yes"] == bodies(tmp_path / "target")


# failures --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("swap", [False, True])
def test_the_last_failure_of_a_key_is_the_latest_whatever_file_it_came_from(tmp_path: Path, swap: bool) -> None:
    """Also where the groups of metadata stand in the other order: then a second round of groups follows."""
    one, other = (PRICED, PLAIN) if swap else (PLAIN, PRICED)
    late = failure(1, "late", at="2026-01-02T00:00:00Z", metadata=one)
    early = failure(1, "early", at="2026-01-01T00:00:00.5Z", metadata=other)
    earliest = failure(1, "earliest", at="2026-01-01T00:00:00Z", metadata=one)
    write(tmp_path / "here", [late, failure(2, "x")])
    write(tmp_path / "there", [early, failure(1, "unknown"), late, earliest])
    result, _ = with_conflicts(tmp_path / "target", tmp_path / "here", tmp_path / "there")

    with Store(tmp_path / "target") as store:
        found = store.find_failure(call_of(1).key)
        assert [] == store.verify()
    assert found is not None
    assert "late" == found.message
    assert (5, 1) == (result.failures, result.repeated)


def test_an_attempt_without_a_reply_is_recorded_with_its_time(tmp_path: Path) -> None:
    """Or nothing could tell whether it came before or after another of its key."""
    with Store(tmp_path / "source", record_mode="new_episodes") as store:
        busy = failure(1, "busy", at="2026-01-01T00:00:00Z", status=503)
        store.record_failure(call_of(1), "timeout", "no byte for 60 s", recorded_at="2026-01-01T00:00:01Z")
    write(tmp_path / "other", [busy])
    merge([tmp_path / "other", tmp_path / "source"], tmp_path / "target", print)

    with Store(tmp_path / "target") as store:
        found = store.find_failure(call_of(1).key)
        assert found is not None
        assert "timeout" == found.kind


# what sources may be ---------------------------------------------------------------------------------------


def test_lines_of_an_older_key_version_get_the_present_key(tmp_path: Path) -> None:
    """So that a merged cassette has one kind of key, and its metadata says which."""
    old = Metadata(endpoints=PLAIN.endpoints, key_version=KEY_VERSION - 1, ignore=("something else",))
    line = answer(1, "old", metadata=old)
    foreign = call_of(1).key.hex().encode()
    text = line.text.replace(foreign, b"0" * 32)
    text = with_crc(b"- ", text[2:-18])
    write(tmp_path / "old", [replace(line, text=text), replace(failure(2, "x", metadata=old), file=1)])
    write(tmp_path / "new", [answer(3, "new")])
    merge([tmp_path / "new", tmp_path / "old"], tmp_path / "target", print)

    with Store(tmp_path / "target") as store:
        assert [] == store.verify()
        found = store.find(call_of(1).key)
        assert found is not None
        assert b"old" == found.body
        assert 2 == len(store)
    head = (tmp_path / "target" / "segment-00001.yaml").read_bytes()
    assert Metadata(endpoints=PLAIN.endpoints).payload() in head
    assert IGNORED[0].encode() in head
    assert not (tmp_path / "target" / "segment-00002.yaml").exists()


def test_keys_of_a_newer_version_are_refused(tmp_path: Path) -> None:
    """Nothing here can tell whether they are right."""
    write(tmp_path / "source", [answer(1, metadata=Metadata(key_version=KEY_VERSION + 1))])

    with pytest.raises(CassetteDamaged, match="version 2"):
        merge([tmp_path / "source"], tmp_path / "target", print)


@pytest.mark.parametrize("old", [b'"string":"yes"', b'"generation":0', b'"n":2'])
def test_a_damaged_line_stops_with_file_offset_and_what_to_do(tmp_path: Path, old: bytes) -> None:
    """Nothing damaged travels on, and nothing is made."""
    source = write(tmp_path / "source", [answer(1), answer(2), answer(3)])
    path = source / "segment-00001.yaml"
    text = path.read_bytes()
    start = text.index(answer(2).text)
    at = text.index(old.replace(b'"', b'\\"') if b'"n"' in old else old, start)
    path.write_bytes(text[: at + 3] + b"#" + text[at + 4 :])

    with pytest.raises(CassetteDamaged) as caught:
        merge([source], tmp_path / "target", print)
    assert (str(path), str(start)) == (caught.value.details["file"], caught.value.details["offset"])
    assert f"llmbatch cassette verify --repair {source}" in caught.value.details["fix"]
    assert ["source"] == [each.name for each in tmp_path.iterdir()]


def test_a_half_written_line_is_left_out_with_a_note(tmp_path: Path) -> None:
    """A source may be a cassette whose writer is at work, or was killed: its whole lines are taken."""
    source = write(tmp_path / "source", [answer(1), failure(2, "x")])
    with (source / "segment-00001.yaml").open("ab") as stream:
        stream.write(answer(3).text[:-1])
    (source / "failures-00001.yaml").write_bytes(b"version: 1\nmeta")
    before = files_of(source)
    result, _ = with_conflicts(tmp_path / "target", source)

    assert 2 == len(result.notes)
    assert f"the last {len(answer(3).text) - 1} bytes are a line not written to its end" in result.notes[1]
    assert [b"yes"] == bodies(tmp_path / "target")
    assert before == files_of(source)


def test_a_source_that_is_being_recorded_is_read_as_far_as_it_is(tmp_path: Path) -> None:
    """Without its lock, which a reader has no need of; the outcome says so."""
    with Store(tmp_path / "source", record_mode="new_episodes") as store:
        store.record(call_of(1), Reply(200, "OK", {}, b"live"), case=None)
        result, _ = with_conflicts(tmp_path / "target", tmp_path / "source")

        assert "is being written" in result.notes[0]
    assert [b"live"] == bodies(tmp_path / "target")


def test_a_link_out_of_a_source_is_refused(tmp_path: Path) -> None:
    """No name in a shared cassette brings another file of ours into a new one."""
    write(tmp_path / "other", [answer(1)])
    source = write(tmp_path / "source", [])
    (source / "segment-00001.yaml").symlink_to(tmp_path / "other" / "segment-00001.yaml")

    with pytest.raises(CassetteDamaged, match="leads out"):
        merge([source], tmp_path / "target", print)


def test_metadata_nested_beyond_reason_is_damage(tmp_path: Path) -> None:
    """A stranger's cassette ends in an error that names the file, not in one of ours."""
    source = write(tmp_path / "source", [answer(1)])
    deep = b'{"a":' * 1000 + b"1" + b"}" * 1000
    path = source / "segment-00001.yaml"
    first, metadata, *rest = path.read_bytes().splitlines(keepends=True)
    hostile = with_crc(b"metadata: ", metadata[len(b"metadata: ") : -18].replace(b'"prices":{}', b'"prices":' + deep))
    path.write_bytes(b"".join([first, hostile, *rest]))

    with pytest.raises(CassetteDamaged, match="metadata") as caught:
        merge([source], tmp_path / "target", print)
    assert str(path) == caught.value.details["file"]


def test_a_line_beyond_the_cap_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger's cassette cannot make us hold a file in memory."""
    source = write(tmp_path / "source", [answer(1, "x" * 9000)])
    monkeypatch.setattr("llmbatch.cassette.segment.RECORD_CAP", 4000)

    with pytest.raises(CassetteDamaged, match="longer than 4000"):
        merge([source], tmp_path / "target", print)


# where it goes ---------------------------------------------------------------------------------------------


def test_nothing_is_written_over_what_is_there(tmp_path: Path) -> None:
    """Not the source itself, not a folder inside of it, no other folder and no file; an empty folder will do."""
    source = write(tmp_path / "source", [answer(1)])
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine", encoding="utf-8")
    (tmp_path / "link").symlink_to(source, target_is_directory=True)
    (tmp_path / "empty").mkdir()
    (tmp_path / "full" / "inner").mkdir()
    before = files_of(tmp_path)
    for target in ("source", "source/new", "file", "full", "full/inner/..", "link", "link/new", "/"):
        with pytest.raises(UsageError, match=r"is there already|lies inside") as caught:
            merge([source], tmp_path / target, print)
        assert "--into" in caught.value.details["fix"]
    assert before == files_of(tmp_path)
    merge([source], tmp_path / "empty", print)

    assert [b"yes"] == bodies(tmp_path / "empty")


def test_two_merges_into_one_place_do_not_mix(tmp_path: Path) -> None:
    """The second is told who makes it; what a killed one left is thrown away."""
    source = write(tmp_path / "source", [answer(1)])
    workshop = tmp_path / ".target.making"
    (workshop / "folder").mkdir(parents=True)
    (workshop / "folder" / "segment-00007.yaml").write_bytes(b"left behind")
    lock = Lock(workshop).take()
    with pytest.raises(CassetteLocked):
        merge([source], tmp_path / "target", print)
    lock.release()
    merge([source], tmp_path / "target", print)

    assert ["segment-00001.yaml"] == [path.name for path in (tmp_path / "target").iterdir()]
    assert not workshop.exists()
