"""A call that is not recorded is compared with the recorded one that is nearest, however many there are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmbatch.call.values import Call
from llmbatch.cassette.store import Store
from llmbatch.cassette.upkeep.looking import nearest as nearest_module
from llmbatch.cassette.upkeep.looking.compare import differences
from llmbatch.cassette.upkeep.looking.difference import Difference
from llmbatch.cassette.upkeep.looking.nearest import MOST_COMPARED, Missed, Nearest, Relation, nearest_of
from llmbatch.cassette.upkeep.looking.reasons import reasons_of
from tests.cassette.upkeep.filling import body_of, call_of, fill

STORE = Store(Path("nowhere"))


def missed(case: str | None, body: dict[str, Any], **more: Any) -> Missed:
    return Missed(call_of(STORE, body, **more), case)


def nearest(folder: Path, wanted: Missed) -> Nearest:
    [found] = nearest_of(folder, [wanted])
    assert found is not None
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fill(
        tmp_path,
        [
            ("sort[a]::s1", body_of("first")),
            ("sort[a]::s1", body_of("second question, quite another")),
            ("sort[a]::s2", body_of("two")),
            ("sort[b]::s3", body_of("three", temperature=0.5)),
            ("judge::s9", body_of("nine", system="Be strict.")),
            (None, body_of("by nobody")),
        ],
    )
    return tmp_path


@pytest.mark.parametrize(
    ("wanted", "relation", "case", "differs"),
    [
        (missed("sort[a]::s1", body_of("First")), Relation.SAME_CASE, "sort[a]::s1", ["user message"]),
        (missed("sort[a]::s1#r1", body_of("first"), repeat=1), Relation.SAME_CASE, "sort[a]::s1", ["repeat"]),
        (missed("new::x", body_of("two"), base_url="http://h/v2"), Relation.SAME_BODY, "sort[a]::s2", ["host"]),
        (missed("new::x", body_of("two", model="n")), Relation.SAME_MESSAGES, "sort[a]::s2", ["model"]),
        (missed("sort[c]::s3", body_of("3", top_p=1)), Relation.SAME_SAMPLE, "sort[b]::s3", ["temperature", "top_p"]),
        (missed("new::x", body_of("nine")), Relation.SAME_LAST_MESSAGE, "judge::s9", ["system prompt"]),
        (missed("sort[b]::s8", body_of("eight")), Relation.SAME_VARIANT, "sort[b]::s3", ["temperature"]),
        (missed("sort[z]::s8", body_of("eight")), Relation.SAME_TASK, "sort[a]::s1", ["user message"]),
        (missed("new::x", body_of("eight")), Relation.ANY, "sort[a]::s1", ["user message"]),
        (missed(None, body_of("eight")), Relation.SAME_VARIANT, None, ["user message"]),
    ],
)
def test_the_nearest_is_of_the_same_case_else_what_shares_most(
    folder: Path, wanted: Missed, relation: Relation, case: str | None, differs: list[str]
) -> None:
    """The same case first; then what only another address, model, prompt or sample tells apart."""
    found = nearest(folder, wanted)

    assert (relation, case) == (found.relation, found.case)
    assert set(differs) <= {each.field for each in found.differences}


def test_of_a_case_with_several_asks_the_one_with_fewest_differences_is_named(folder: Path) -> None:
    """Which ask of the case it was is not recorded."""
    found = nearest(folder, missed("sort[a]::s1", body_of("second question, quite an other")))

    assert ['user message: "second question, quite another" -> "second question, quite an other"'] == [
        str(each) for each in found.differences
    ]


def test_a_call_in_a_generation_that_was_not_finished_is_no_riddle(tmp_path: Path) -> None:
    """Its line is there, and answers nothing; no field differs."""
    fill(tmp_path, [("t::1", body_of("one"))])
    fill(tmp_path, [("t::1", body_of("two"))], mode="all")

    found = nearest(tmp_path, missed("t::1", body_of("two")))

    assert (Relation.UNFINISHED, ()) == (found.relation, found.differences)


def test_where_nothing_is_recorded_there_is_no_nearest(tmp_path: Path) -> None:
    """A folder that is missing is an empty cassette."""
    assert [None] == nearest_of(tmp_path / "none", [missed("t::1", body_of("one"))])


def test_a_miss_is_compared_with_a_handful_however_much_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equal last messages, equal cases, equal tasks: each ground alone could give the square of what is recorded."""
    fill(tmp_path, [("t::1", body_of("same", seed=number)) for number in range(300)])
    compared: list[Call] = []

    def counted(one: Call, other: Call) -> Iterator[Difference]:
        compared.append(one)
        return differences(one, other)

    monkeypatch.setattr(nearest_module, "differences", counted)

    nearest_of(tmp_path, [missed("t::1", body_of("same", top_p=number)) for number in range(20)])
    of_one_case = len(compared)
    nearest_of(tmp_path, [missed(f"u::{number}", body_of("same", top_p=number)) for number in range(20)])

    assert of_one_case <= 20 * MOST_COMPARED
    assert len(compared) - of_one_case <= 20 * MOST_COMPARED * len(Relation)


def test_misses_of_one_reason_are_one_reason(tmp_path: Path) -> None:
    """A changed line of a prompt is one fact, whether ten cases or a million have it."""
    fill(tmp_path, [(f"t[a]::{n}", body_of(f"sample {n}", system="one\ntwo\nthree")) for n in range(10)])
    changed = [missed(f"t[a]::{n}", body_of(f"sample {n}", system="one\ntwo\n3")) for n in range(9)]
    hotter = [missed("t[a]::9", body_of("sample 9", system="one\ntwo\nthree", temperature=1.0))]

    misses = [*hotter, *changed]
    first, second = reasons_of(zip(misses, nearest_of(tmp_path, misses), strict=True))

    assert (9, {"t[a]": 9}) == (first.count, first.variants)
    assert ['system prompt, line 3: "three" -> "3"'] == list(first.words(4))
    assert ["temperature: added 1.0"] == list(second.words(4))


def test_very_many_reasons_are_told_apart_by_field_only(tmp_path: Path) -> None:
    """A template that changes behind a field of many lines differs in another line for each sample."""
    texts = ["\n" * n + "end" for n in range(40)]
    fill(tmp_path, [(f"t::{n}", body_of(text)) for n, text in enumerate(texts)])
    misses = [missed(f"t::{n}", body_of(text + "!")) for n, text in enumerate(texts)]

    [reason] = reasons_of(zip(misses, nearest_of(tmp_path, misses), strict=True))

    assert 40 == reason.count
    assert not reason.same_places
    assert "user message differs, here" in next(reason.words(1))
