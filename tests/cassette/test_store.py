"""A cassette folder answers by key, in every mode, and the same after it is opened again."""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from llmbatch.call.values import Call, Reply
from llmbatch.cassette import reader
from llmbatch.cassette.line import encode
from llmbatch.cassette.lookup import Lines
from llmbatch.cassette.segment import FAILURES, SEGMENT, Metadata, SegmentName
from llmbatch.cassette.store import Mode, Store
from llmbatch.cassette.syncing import BackgroundSync
from llmbatch.errors import AnswerError, CassetteDamaged, ConfigError, InternalError

URL = "https://api.example.com/v1/chat/completions"
NOW = "2026-01-02T03:04:05Z"


def call_of(store: Store, number: int, repeat: int = 0) -> Call:
    request = store.request("POST", URL, {"content-type": "application/json"}, b'{"n":%d}' % number)
    return store.call(request, repeat, 0)


def reply_of(text: str, status: int = 200) -> Reply:
    return Reply(status, "OK", {"content-type": ("application/json",)}, text.encode(), NOW, 1234)


def fill(folder: Path, numbers: range, mode: Mode = "new_episodes", text: str = "r") -> None:
    with Store(folder, record_mode=mode) as store:
        for number in numbers:
            store.record(call_of(store, number), reply_of(f"{text}{number}"), case=f"case {number}")


def state_of(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_what_was_recorded_is_found_at_once_and_later(tmp_path: Path) -> None:
    """`record` gives the reply as decoded from its line, and so does every later `find`."""
    with Store(tmp_path, record_mode="new_episodes") as store:
        call = call_of(store, 1)
        noisy = replace(reply_of("one"), headers={"Content-Type": ("application/json",), "set-cookie": ("s",)})
        recorded = store.record(call, noisy, case="c")

        assert reply_of("one") == recorded == store.find(call.key)
    with Store(tmp_path) as store:
        assert reply_of("one") == store.find(call.key)
        assert store.find(call_of(store, 2).key) is None
        ((interaction),) = list(store)
        assert (call, "c", 0) == (interaction.call, interaction.case, interaction.generation)


def test_a_missing_folder_is_an_empty_cassette_and_is_not_made(tmp_path: Path) -> None:
    """Reading makes nothing."""
    folder = tmp_path / "nothing"
    with Store(folder) as store:
        assert (len(store), store.find(b"0" * 16), store.can_record) == (0, None, False)
        assert store.verify() == []
    assert not folder.exists()


def test_reading_modes_write_nothing(tmp_path: Path) -> None:
    """No lock, no index, no repair: a cassette on read-only media replays."""
    fill(tmp_path, range(3))
    with (tmp_path / "segment-00001.yaml").open("ab") as stream:
        stream.write(b'- {"key":"torn')
    before = state_of(tmp_path)
    tmp_path.chmod(0o555)
    try:
        for mode in ("none", "once"):
            with Store(tmp_path, record_mode=mode) as store:
                assert 3 == len(list(store)) == len(store)
                store.content_digest()
                assert len(store.verify()) == 1
                assert not store.can_record
    finally:
        tmp_path.chmod(0o755)

    assert before == state_of(tmp_path)


def test_once_records_into_an_empty_cassette_only(tmp_path: Path) -> None:
    """vcrpy's meaning: new interactions only where there were none at open."""
    fill(tmp_path, range(2), mode="once")

    with Store(tmp_path, record_mode="once") as store:
        assert (store.can_record, len(store)) == (False, 2)
        with pytest.raises(InternalError, match="'once'"):
            store.record(call_of(store, 7), reply_of("x"), case=None)


def test_an_open_recording_store_leaves_no_lock_behind(tmp_path: Path) -> None:
    """The lock is there from open to close."""
    store = Store(tmp_path, record_mode="new_episodes")
    with store:
        assert (tmp_path / ".lock").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == []
    store.close()


def test_the_first_answer_wins_and_the_second_is_kept_as_duplicate(tmp_path: Path) -> None:
    """A hedge's late answer was paid for: it is in failures, and served never."""
    with Store(tmp_path, record_mode="new_episodes") as store:
        call = call_of(store, 1)
        store.record(call, reply_of("first"), case=None)

        assert reply_of("first") == store.record(call, reply_of("second"), case=None)
        assert len(store) == 1
        failure = store.find_failure(call.key)
        assert failure is not None
        assert ("duplicate", reply_of("second")) == (failure.kind, failure.reply)
    with Store(tmp_path) as store:
        assert reply_of("first") == store.find(call.key)
        assert [each.kind for each in store.failures()] == ["duplicate"]


def test_the_last_failure_of_a_key_counts(tmp_path: Path) -> None:
    """Failures are for audit: never an answer, and only the last outcome is asked for."""
    with Store(tmp_path, record_mode="new_episodes") as store:
        call = call_of(store, 1)
        store.record_failure(call, "timeout", "no byte for 60 s", case="c")
        store.record_failure(call, "server_error", "HTTP 503", reply=reply_of("busy" * 9000, 503), case="c")
        assert store.find(call.key) is None
    with Store(tmp_path) as store:
        failure = store.find_failure(call.key)

        assert failure is not None
        assert failure.reply is not None
        assert (call, "server_error", "HTTP 503") == (failure.call, failure.kind, failure.message)
        assert (failure.reply.status, len(failure.reply.body)) == (503, 16 * 1024)
        assert (len(store), store.find(call.key)) == (0, None)
        assert store.verify() == []


def test_an_answer_too_large_to_record_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is noted, so that the cost is known, and the caller is told."""
    monkeypatch.setattr("llmbatch.cassette.store.RECORD_CAP", 2000)
    with Store(tmp_path, record_mode="new_episodes") as store:
        call = call_of(store, 1)
        with pytest.raises(AnswerError, match="larger than can be recorded"):
            store.record(call, reply_of("x" * 3000), case=None)
        failure = store.find_failure(call.key)

        assert failure is not None
        assert failure.kind == "too_large"


def test_mode_all_records_a_generation_of_its_own(tmp_path: Path) -> None:
    """It sees no older answer, can be resumed, and wins only when it is complete."""
    fill(tmp_path, range(2), text="old")
    with Store(tmp_path, record_mode="all") as store:
        call = call_of(store, 0)
        assert (store.generation, len(store), store.find(call.key)) == (1, 0, None)
        store.record(call, reply_of("new0"), case=None)
    with Store(tmp_path) as store:
        assert reply_of("old0") == store.find(call.key)
        assert store.generation == 0
    with Store(tmp_path, record_mode="all") as store:
        assert (1, reply_of("new0")) == (store.generation, store.find(call.key))
        store.record(call_of(store, 1), reply_of("new1"), case=None)
        store.complete_generation()
        store.record(call_of(store, 2), reply_of("new2"), case=None)
    with Store(tmp_path, record_mode="new_episodes") as store:
        assert (1, 3, reply_of("new0")) == (store.generation, len(store), store.find(call.key))
        store.complete_generation()
    with Store(tmp_path, record_mode="all") as store:
        assert (store.generation, len(store)) == (2, 0)
        assert not (tmp_path / "generation-2.complete").exists()


def test_of_two_lines_of_one_generation_the_smaller_wins(tmp_path: Path) -> None:
    """One rule, whatever the order of files: two machines may answer the same key."""
    fill(tmp_path / "a", range(1), text="zzz")
    fill(tmp_path / "b", range(1), text="aaa")
    one, two = ((tmp_path / name / "segment-00001.yaml").read_bytes() for name in "ab")
    digests = set()
    for number, (first, second) in enumerate([(one, two), (two, one)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "segment-00001.yaml").write_bytes(first)
        (folder / "segment-00002.yaml").write_bytes(second)
        with Store(folder) as store:
            assert reply_of("aaa0") == store.find(call_of(store, 0).key)
            digests.add(store.content_digest())

    assert len(digests) == 1


def test_segments_roll_over_and_answer_together(tmp_path: Path) -> None:
    """A segment that is full is followed by the next; the order of iteration is the order of recording."""
    with Store(tmp_path, record_mode="new_episodes", segment_bytes=2000) as store:
        for number in range(20):
            store.record(call_of(store, number), reply_of(f"r{number}"), case=None)
        bodies = [each.reply.body for each in store]
    with Store(tmp_path) as store:
        assert bodies == [each.reply.body for each in store] == [b"r%d" % number for number in range(20)]
        assert store.verify() == []

    assert len(list(tmp_path.glob("segment-*.yaml"))) > 3


def test_no_file_is_larger_than_it_may_be_but_by_a_single_line(tmp_path: Path) -> None:
    """Failures files too, and files that an earlier run began; a line that fits in no file has one to itself."""
    most = 3000
    for start in (0, 10, 20):
        with Store(tmp_path, record_mode="new_episodes", segment_bytes=most) as store:
            for number in range(start, start + 10):
                text = "large" * 800 if number % 7 == 3 else f"r{number}"
                store.record(call_of(store, number), reply_of(text))
                store.record_failure(call_of(store, number), "timeout", "m" * (4000 if number % 7 == 5 else 10))
    files = sorted(tmp_path.glob("*-*.yaml"))
    large = [path for path in files if path.stat().st_size > most]

    assert len(files) > 12
    assert {1} == {path.read_bytes().count(b"\n") - 3 for path in large}
    assert (4, 4) == tuple(sum(path.name.startswith(kind) for path in large) for kind in ("segment", "failures"))
    with Store(tmp_path) as store:
        assert (30, []) == (len(store), store.verify())


def test_equal_metadata_go_on_with_the_last_segment(tmp_path: Path) -> None:
    """A run whose endpoints or prices differ starts a new one."""
    for prices in ({"m": {"input": 0.15}}, {"m": {"input": 0.15}}, {"m": {"input": 0.2}}):
        metadata = Metadata(endpoints={"e": "https://e/v1"}, prices=prices)
        with Store(tmp_path, record_mode="new_episodes", metadata=metadata) as store:
            store.record(call_of(store, len(store)), reply_of("x"), case=None)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["segment-00001.yaml", "segment-00002.yaml"]


def test_the_base_url_of_an_endpoint_comes_from_the_recording(tmp_path: Path) -> None:
    """Offline an endpoint need not be configured; a name with two URLs is an error that lists them."""
    for url in ("https://u:p@one/v1", "https://two/v1"):
        metadata = Metadata(endpoints={"e": url, "same": "https://same/v1"})
        with Store(tmp_path, record_mode="new_episodes", metadata=metadata) as store:
            store.record(call_of(store, len(store)), reply_of("x"), case=None)
    with Store(tmp_path) as store:
        assert store.recorded_base_url("same") == "https://same/v1"
        assert store.recorded_base_url("other") is None
        with pytest.raises(ConfigError, match="2 base URLs") as caught:
            store.recorded_base_url("e")

    assert caught.value.details["recorded"] == "https://one/v1\nhttps://two/v1"


def test_the_content_digest_is_of_answers_alone(tmp_path: Path) -> None:
    """Not of order, times, request ids, cases or failures; any status or body moves it."""
    one, two, three = tmp_path / "1", tmp_path / "2", tmp_path / "3"
    fill(one, range(5))
    with Store(two, record_mode="new_episodes") as store:
        for number in reversed(range(5)):
            call = call_of(store, number)
            later = replace(reply_of(f"r{number}"), recorded_at="2027", taken_us=9, headers={"request-id": ("x",)})
            store.record_failure(call, "timeout", "slow", case=None)
            store.record(call, later, case=None)
    with Store(three, record_mode="new_episodes") as store:
        for number in range(5):
            store.record(call_of(store, number), reply_of(f"r{number}", 200 + (number == 3)), case=None)
    digests = []
    for folder in (one, two, three):
        with Store(folder) as store:
            digests.append(store.content_digest())

    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


def test_threads_may_record_and_find_at_once(tmp_path: Path) -> None:
    """Each key is recorded once, whole, whoever is first."""
    with Store(tmp_path, record_mode="new_episodes", segment_bytes=20_000) as store:

        def work(offset: int) -> None:
            for number in range(60):
                call = call_of(store, (number + offset) % 60)
                first = store.record(call, reply_of(f"{offset}"), case=None)
                assert first == store.find(call.key)

        threads = [threading.Thread(target=work, args=(offset,)) for offset in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 60 == len(store) == len(list(store))
        digest = store.content_digest()
    with Store(tmp_path) as store:
        assert digest == store.content_digest()
        assert store.verify() == []


def test_other_names_and_subfolders_are_not_read(tmp_path: Path) -> None:
    """Only flat names of the known form are opened."""
    fill(tmp_path, range(1))
    fill(tmp_path / "nested", range(3))
    for name in ("segment-1.yaml", "segment-00002.yaml.bak", "notes.md", "generation-x.complete"):
        (tmp_path / name).write_text("hello", encoding="utf-8")

    with Store(tmp_path) as store:
        assert len(store) == 1
        assert store.verify() == []


def test_another_line_at_a_place_is_never_served(tmp_path: Path) -> None:
    """The index says where to look and proves nothing: a whole line with a right checksum may be another one."""
    fill(tmp_path, range(10, 30))
    path = tmp_path / "segment-00001.yaml"
    with Store(tmp_path) as store:
        keys = [call_of(store, number).key for number in (10, 11)]
        header, lines = path.read_bytes().split(b"\n- ", 1)
        first, second, rest = lines.split(b"\n- ", 2)
        path.write_bytes(b"\n- ".join([header, second, first, rest]))

        for key in keys:
            with pytest.raises(CassetteDamaged, match="its key is not") as caught:
                store.find(key)
            assert str(path) == caught.value.details["file"]


def test_prices_are_those_of_the_file_that_answers(tmp_path: Path) -> None:
    """Whether the answer was just looked up or not; and none where nothing is recorded."""
    for number, price in enumerate(("1", "2")):
        with Store(tmp_path, record_mode="new_episodes", metadata=Metadata(prices={"m": {"in": price}})) as store:
            store.record(call_of(store, number), reply_of("x"))
    with Store(tmp_path) as store:
        keys = [call_of(store, number).key for number in range(3)]
        for key, expected in zip(keys, ({"in": "1"}, {"in": "2"}, None), strict=True):
            assert expected == store.prices(key, "m")
            store.find(keys[1])
            assert expected == store.prices(key, "m")
            assert store.prices(key, "other") is None


def test_a_store_must_be_open(tmp_path: Path) -> None:
    """A lookup in a store that was never read would say that nothing is recorded."""
    with pytest.raises(InternalError, match="before it was opened"):
        Store(tmp_path).find(b"0" * 16)


def test_opening_leaves_no_file_open_behind(tmp_path: Path) -> None:
    """Of lines of equal keys both are read to tell which wins; a notebook opens a cassette again and again."""
    folder, other = tmp_path / "one", tmp_path / "other"
    fill(folder, range(2))
    fill(other, range(2), text="s")
    (folder / "segment-00002.yaml").write_bytes((other / "segment-00001.yaml").read_bytes())
    before = _next_descriptor()
    with Store(folder, record_mode="once"):
        pass
    assert before == _next_descriptor()

    with (folder / "segment-00002.yaml").open("ab") as stream:
        stream.write(b"no line of a cassette\n")
    with pytest.raises(CassetteDamaged):
        Store(folder).open()
    assert before == _next_descriptor()


def _next_descriptor() -> int:
    """Return the number that the next opened file gets: the lowest that is free."""
    descriptor = os.open(os.devnull, os.O_RDONLY)
    os.close(descriptor)
    return descriptor


def test_an_end_in_the_last_moment_of_the_wait_is_heard() -> None:
    """Between the end of the thread's wait and its look at what was written; it must not wait for ever then."""
    syncing = BackgroundSync(lambda: None, seconds=0.0)
    ended, written = syncing._ended, syncing._written

    class AtTheLastMoment(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            self.set()
            written.set()
            return False

    assert not ended.is_set()
    syncing._ended = AtTheLastMoment()
    syncing.wrote()

    syncing._thread.join(10)
    assert not syncing._thread.is_alive()


def test_an_interrupted_close_gives_the_lock_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the last sync is waited for: the process of a notebook lives on, and would lock itself out."""

    end = BackgroundSync.end

    def interrupted(syncing: BackgroundSync) -> None:
        end(syncing)
        raise KeyboardInterrupt

    store = Store(tmp_path, record_mode="new_episodes").open()
    with monkeypatch.context() as patch:
        patch.setattr(BackgroundSync, "end", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.close()

    with Store(tmp_path, record_mode="new_episodes") as again:
        assert again.can_record


def test_a_second_answer_at_the_cap_is_kept_without_its_body(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an answer its line just fits; as a duplicate it says two things more."""
    with Store(tmp_path, record_mode="new_episodes") as store:
        call = call_of(store, 1)
        store.record(call, reply_of("first"))
        late = reply_of("late" * 100)
        monkeypatch.setattr("llmbatch.cassette.store.RECORD_CAP", len(encode(call, late, generation=0, case=None)))

        assert reply_of("first") == store.record(call, late)
        failure = store.find_failure(call.key)
    assert failure is not None
    assert failure.reply is not None
    assert ("duplicate", b"") == (failure.kind, failure.reply.body)


def test_a_short_read_is_read_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Network file systems may give less than was asked for: that is no damage."""
    read_at = reader._read_at
    with Store(tmp_path, record_mode="new_episodes") as store:
        call = store.call(store.request("POST", "https://h/v1", {}, b"q"), 0, 0)
        recorded = store.record(call, Reply(200, "OK", {}, b"x" * 5000))
        monkeypatch.setattr(reader, "_read_at", lambda handle, length, at: read_at(handle, min(length, 100), at))

        assert recorded == store.find(call.key)


@pytest.mark.parametrize("kind", [SEGMENT, FAILURES])
def test_a_line_that_was_read_ahead_half_is_read_again(tmp_path: Path, kind: str) -> None:
    """A disk that was full for a moment: the half line is taken back, and another one stands in its place."""
    store = Store(tmp_path)
    calls = [call_of(store, number) for number in range(3)]
    texts = [encode(call, reply_of(call.key.hex()), generation=0, case=None) for call in calls]
    path = tmp_path / SegmentName(kind, 1).file
    path.write_bytes(texts[0] + texts[1] + b"x" * len(texts[2]))
    lines = Lines(tmp_path, kind)
    for number, call in enumerate(calls):
        lines.index.put(call.key, 0, (1, sum(map(len, texts[:number])), len(texts[number])))
    assert all(lines.reply(call.key) for call in calls[:2])

    path.write_bytes(b"".join(texts))

    place = lines.index.get(calls[2].key)
    assert place is not None
    assert calls[2] == lines.whole(place).call
    assert reply_of(calls[2].key.hex()) == lines.reply(calls[2].key)
    lines.close()
