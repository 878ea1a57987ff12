"""An interaction is found by its key or its case, whole or in part, without an index."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmbatch.cassette.store import Store
from llmbatch.cassette.upkeep.looking.finding import find, names_case
from llmbatch.errors import CassetteDamaged, UsageError
from tests.cassette.upkeep.filling import METADATA, body_of, call_of, fill

CASES = ["sort[m-bare]::c001", "sort[m-cot]::c001", "sort[m-bare]::c002", 'odd["é\\"]::x y', "sort[m-bare]::c003#r1"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fill(tmp_path, [(case, body_of(case)) for case in CASES])
    return tmp_path


@pytest.mark.parametrize(
    ("wanted", "case"),
    [
        *((case, case) for case in CASES),
        ("c002", CASES[2]),
        ("m-cot", CASES[1]),
        ("sort[...bare]::c001", CASES[0]),
        ("cot…001", CASES[1]),
        ("x y", CASES[3]),
        ('["é\\', CASES[3]),
        ("c003", CASES[4]),
    ],
)
def test_a_case_is_found_by_its_id_its_sample_or_a_part_of_it(folder: Path, wanted: str, case: str) -> None:
    """`...` stands for anything; what JSON escapes is no obstacle."""
    found = find(folder, wanted)

    assert [case] == [line.case for line in found.answers]
    assert names_case(wanted, case)


def test_a_key_is_found_whole_or_by_its_beginning(folder: Path, tmp_path: Path) -> None:
    """In either case of letters."""
    key = fill(folder, [("late::1", body_of("late"))])[0]

    assert [key.encode()] == [line.key for line in find(folder, key).answers]
    assert [key.encode()] == [line.key for line in find(folder, key[:12].upper()).answers]


def test_all_interactions_of_a_case_come_in_order_and_its_failures_too(tmp_path: Path) -> None:
    """A failed attempt is what explains the answer that is not there."""
    keys = fill(tmp_path, [("t::1", body_of(f"question {n}")) for n in range(3)])
    with Store(tmp_path, record_mode="new_episodes", metadata=METADATA) as store:
        store.record_failure(call_of(store, body_of("question 9")), "server_error", "HTTP 500", case="t::1")

    found = find(tmp_path, "t::1")

    assert keys == [line.key.decode() for line in found.answers]
    assert ["server_error"] == [line.head()["kind"] for line in found.failures]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("c001", ["more than one thing", CASES[0], CASES[1]]),
        ("sort[m-bear]::c001", ["nearest", CASES[0], "write 'sort[m-bare]::c001'"]),
        ("c0001", ["nearest", "::c001"]),
        ("0123abcd", ["no recorded key begins with"]),
        ("nothing like it", ["no recorded case", "llmbatch cassette stats"]),
    ],
)
def test_what_is_not_found_or_not_unique_is_answered_with_the_nearest(
    folder: Path, wanted: str, said: list[str]
) -> None:
    """The next step is in the message."""
    with pytest.raises(UsageError) as raised:
        find(folder, wanted)

    report = raised.value.report()
    assert [part for part in said if part not in report] == []


def test_a_damaged_line_is_named_and_an_empty_folder_is_no_mishap(folder: Path, tmp_path: Path) -> None:
    """Looking for one thing does not hide what is wrong with another."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError):
        find(tmp_path / "empty", "c001")
    with (folder / "segment-00001.yaml").open("ab") as stream:
        stream.write(b"- rubbish\n")
    with pytest.raises(CassetteDamaged):
        find(folder, CASES[0])
