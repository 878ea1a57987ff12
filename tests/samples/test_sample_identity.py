"""Identity: a sample is who it is by its declared id or its content, never by its position."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmbatch.errors import SampleError
from llmbatch.samples import open_samples
from llmbatch.samples.identity import Identities


def ids(rows: list[object], **options: str) -> list[str]:
    return [sample.id for sample in open_samples(rows, **options)]  # type: ignore[arg-type]


@given(st.lists(st.sampled_from([{"a": n} for n in range(5)])), st.integers(10, 99), st.integers(0, 20))
def test_an_inserted_row_moves_no_other_id(rows: list[object], new: int, at: int) -> None:
    """Ids before and after an insertion anywhere are the same but for the new row's."""
    longer: list[object] = [*rows[:at], {"a": new}, *rows[at:]]

    assert ids(rows) == [one for one in ids(longer) if one not in ids([{"a": new}])]
    assert len(set(ids(longer))) == len(longer)


def test_equal_samples_are_told_apart_by_their_occurrence() -> None:
    """The n-th further copy has `-n` behind the content's hash."""
    first, second, third = ids([{"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1, "b": 2}])

    assert [f"{first}-1", f"{first}-2"] == [second, third]
    assert len(first) == 16


def test_content_hashes_stay_what_they_were() -> None:
    """A golden value: a release that moved it would orphan recorded case ids."""
    assert ids([{"message": "fix: crash", "n": 2**70, "p": 0.1}]) == ["a449439f00797865"]


@pytest.mark.parametrize(
    ("value", "expected"), [("x", "x"), (7, "7"), (2**70, str(2**70)), (True, "true"), (1.5, "1.5")]
)
def test_a_declared_id_is_its_value_as_text(value: object, expected: str) -> None:
    """Numbers are written as JSON writes them."""
    assert [expected] == ids([{"sha": value}], id_field="sha")


@pytest.mark.parametrize("row", [{"sha": None}, {"sha": ""}, {"sha": [1]}, {"other": 1}])
def test_a_sample_without_a_usable_declared_id_is_a_bad_sample(row: dict[str, object]) -> None:
    """It keeps an identity of its own, from its content."""
    [sample] = open_samples([row], id_field="sha")

    assert sample.error is not None
    assert ids([row]) == [sample.id]


def test_two_samples_with_one_declared_id_name_both_places(tmp_path: Path) -> None:
    """Rows could not be told apart, so the pass stops at the second."""
    path = tmp_path / "s.jsonl"
    path.write_text('{"id": 1}\n{"id": 2}\nbroken\n{"id": 1}\n')

    with pytest.raises(SampleError) as caught:
        list(open_samples(path, base_folders=[tmp_path], id_field="id"))

    assert caught.value.place == "s.jsonl:4"
    assert caught.value.details["first"] == "s.jsonl:1"


def test_a_bad_line_keeps_its_id_when_another_is_inserted(tmp_path: Path) -> None:
    """Broken lines are known by their bytes; equal ones by their occurrence."""
    path = tmp_path / "s.jsonl"
    path.write_text("broken\nbroken\n")
    before = [sample.id for sample in open_samples(path, base_folders=[])]

    other = tmp_path / "t.jsonl"
    other.write_text('{"a": 1}\nbroken\nbroken\n')

    assert before == [sample.id for sample in open_samples(other, base_folders=[])][1:]
    assert before[1] == f"{before[0]}-1"


@given(st.lists(st.integers(0, 3000).map(str), max_size=300))
@settings(max_examples=20)
def test_the_compact_set_of_digests_behaves_as_a_set(declared: list[str]) -> None:
    """Growing and probing lose nothing: first times are exactly a set's."""
    identities, known = Identities(), set[str]()

    for one in [*map(str, range(3001, 4500)), *declared]:
        assert (one not in known) == identities.is_first(one)
        known.add(one)


def test_a_broken_line_with_the_id_of_another_is_a_bad_sample_and_counted(tmp_path: Path) -> None:
    """Counting looks at the ids alone; what is broken elsewhere has none."""
    path = tmp_path / "s.jsonl"
    path.write_bytes(b'{"id": "a", "x": 1}\n{"id": "a", "x": "\xff"}\n{"id": "b", "x": 1e999}\n{"id": "b"}\n')
    samples = open_samples(path, base_folders=[tmp_path], id_field="id")

    assert 4 == samples.count()
    assert [False, True, True, False] == [sample.error is not None for sample in samples]


@pytest.mark.parametrize("name", ['the "id"', "a\\b", "a\tb"])
def test_an_id_may_have_any_name(tmp_path: Path, name: str) -> None:
    """Also one that JSON must escape."""
    path = tmp_path / "s.jsonl"
    path.write_text(json.dumps({name: "a"}))
    samples = open_samples(path, base_folders=[tmp_path], id_field=name)

    assert 1 == samples.count()
    assert ["a"] == [sample.id for sample in samples]
