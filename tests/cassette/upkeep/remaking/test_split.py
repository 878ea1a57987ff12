"""The parts of a cassette are cassettes, and make the whole again byte for byte."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmbatch.call.values import Call, Reply
from llmbatch.cassette.line import decode
from llmbatch.cassette.segment import Metadata
from llmbatch.cassette.store import Store
from llmbatch.cassette.upkeep.alias import add_alias
from llmbatch.cassette.upkeep.remaking.merge import merge
from llmbatch.cassette.upkeep.remaking.split import By, folder_name, split, value_of
from llmbatch.errors import UsageError
from tests.support.lines import Line, answer, any_line, call_of, failure, files_of, write


@settings(max_examples=25)
@given(
    lines=st.lists(any_line(), max_size=12),
    complete=st.sets(st.sampled_from([1, 2])),
    by=st.sampled_from([*get_args(By), None]),
    max_bytes=st.integers(1200, 4000),
)
def test_merging_the_parts_gives_what_merging_the_whole_gives(
    lines: list[Line], complete: set[int], by: By | None, max_bytes: int
) -> None:
    """Whatever it was cut by; each part is sound, and none is larger than was asked."""
    with TemporaryDirectory() as name:
        root = Path(name)
        source = write(root / "source", lines, sorted(complete))
        split(source, root / "parts", lambda _: None, by=by, max_bytes=max_bytes, segment_bytes=1500)
        parts = sorted((root / "parts").iterdir())
        for part in parts:
            assert [] == Store(part).verify()
            assert by is not None or sum(path.stat().st_size for path in part.iterdir()) <= max_bytes
        merge([source], root / "whole", lambda _: None, segment_bytes=900)
        if not lines:
            assert [] == parts
            return
        merge(parts, root / "again", lambda _: None, segment_bytes=900)

        assert files_of(root / "whole") == files_of(root / "again")


@pytest.mark.parametrize("by", ["model", None])
def test_every_part_answers_where_the_whole_did(tmp_path: Path, by: By | None) -> None:
    """What another address stands for is part of the cassette; a part without it would be paid for again."""
    source = write(tmp_path / "source", [answer(number) for number in range(9)])
    add_alias(source, "https://gpu7.example/v1", "https://api.example.com/v1")
    parts = split(source, tmp_path / "parts", print, by=by, max_bytes=2500)
    found = 0
    for part in parts:
        folder = tmp_path / "parts" / part.name
        assert by is not None or sum(path.stat().st_size for path in folder.iterdir()) <= 2500
        with Store(folder) as store:
            for call in map(call_of, range(9)):
                moved = call.request.url.replace("api.example.com", "gpu7.example")
                asked = store.request("POST", moved, call.request.headers, call.request.body)
                found += store.find(store.call(asked, 0, 0).key) is not None

    assert len(parts) > 1
    assert 9 == found


def test_each_model_has_a_part_with_its_answers_and_failures(tmp_path: Path) -> None:
    """One can be shared without the other."""
    source = write(tmp_path / "source", [*(answer(number) for number in range(5)), failure(1, "busy")])
    parts = split(source, tmp_path / "parts", print, by="model")

    assert [("m0", 3), ("m1", 2)] == [(part.name, part.summary.answers) for part in parts]
    assert ["failures-00001.yaml", "segment-00001.yaml"] == sorted(files_of(tmp_path / "parts" / "m1"))
    with Store(tmp_path / "parts" / "m1") as store:
        assert parts[1].summary.digest == store.content_digest()


def value(by: By, url: str, endpoints: dict[str, str], case: str | None = None) -> str:
    store = Store(Path())
    request = store.request("POST", url, {}, b'{"model":7}')
    found = decode(answer(1, case=case).text)._replace(call=Call(request, 0, 0, b""))
    return value_of(found, Metadata(endpoints=endpoints), by)


def test_an_endpoint_is_known_by_its_recorded_base_url_else_by_its_host() -> None:
    """The longest base URL that the request lies under; a longer name is not under a shorter one."""
    endpoints = {"a": "https://h/v1", "b": "https://h/v1/b/", "c": "https://other"}

    assert "a" == value("endpoint", "https://h/v1/chat", endpoints)
    assert "b" == value("endpoint", "https://h/v1/b/chat", endpoints)
    assert "h" == value("endpoint", "https://h/v11/chat", endpoints)
    assert "other.org" == value("endpoint", "https://other.org/x", endpoints)


def test_a_task_is_what_its_case_begins_with() -> None:
    """With or without parametrised values; a request under no case belongs to none."""
    assert ["judge", "judge", ""] == [
        value("task", "https://h", {}, case) for case in ("judge[a[1]]::7", "judge::7", None)
    ]
    assert "" == value("model", "https://h", {})


@given(st.lists(st.text(), min_size=2, max_size=2, unique=True))
def test_folder_names_are_safe_and_different(values: list[str]) -> None:
    """A model's name is a stranger's text: it leads nowhere, and no two become one on any file system."""
    one, other = (folder_name(value) for value in values)

    assert one != other
    assert {one.lower(), other.lower()} == {one, other}
    for name in (one, other):
        assert name.isascii()
        assert not set(name) & set('/\\:*?"<>|\0 ')
        assert name[0] not in ".-"
        assert name[-1] != "."
        assert 0 < len(name) <= 80


@pytest.mark.parametrize("name", ["..", ".", "con", "NUL.txt", "../x", "a/b", "A", "", "_none", "x" * 300, "gpt-4o."])
def test_hostile_names_are_changed(name: str) -> None:
    """Dots, devices of Windows, separators, capital letters."""
    assert folder_name(name) != name
    assert folder_name("gpt-4o-mini.1") == "gpt-4o-mini.1"


def test_a_line_that_fits_nowhere_is_named(tmp_path: Path) -> None:
    """With the least number that would do."""
    source = write(tmp_path / "source", [answer(1), answer(3, "x" * 3000)])
    with pytest.raises(UsageError, match=r"segment-00001.yaml offset \d+") as caught:
        split(source, tmp_path / "parts", print, max_bytes=2000)
    assert not (tmp_path / "parts").exists()
    least = int(caught.value.details["fix"].split()[-1])

    assert 2 == len(split(source, tmp_path / "parts", print, max_bytes=least))


def test_a_binary_reply_is_split_as_it_is(tmp_path: Path) -> None:
    """Parts hold the recorded bytes, not a reading of them."""
    with Store(tmp_path / "source", record_mode="new_episodes") as store:
        call = store.call(store.request("POST", "https://h/v1", {}, b"\xff\xfe"), 0, 0)
        store.record(call, Reply(200, "OK", {}, b"\x00\xff"), case=None)
    split(tmp_path / "source", tmp_path / "parts", print, by="model")

    whole = (tmp_path / "source" / "segment-00001.yaml").read_bytes()
    assert whole == (tmp_path / "parts" / "_none" / "segment-00001.yaml").read_bytes()


def test_what_was_found_out_of_a_model_is_in_the_part_of_each_task(tmp_path: Path) -> None:
    """A part without its probe would ask its cases in another mode, and find none of their answers."""
    cases = ["one[x]::1", "two[x]::1", "probe:e/m0", "probe:e/m1"]
    source = write(tmp_path / "source", [answer(number, case=case) for number, case in enumerate(cases)])
    alone = write(tmp_path / "alone", [answer(2, case=cases[2])])

    assert [("one", 3), ("two", 3)] == [
        (part.name, part.summary.answers) for part in split(source, tmp_path / "parts", print, by="task")
    ]
    assert [1] == [part.summary.answers for part in split(alone, tmp_path / "rest", print, by="task")]
