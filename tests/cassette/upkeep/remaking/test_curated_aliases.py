"""A cassette that is made of others keeps what they say of base URLs, and says it once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from llmbatch.cassette.aliases import ALIASES_FILE, read_aliases
from llmbatch.cassette.store import Store
from llmbatch.cassette.upkeep.alias import add_alias
from llmbatch.cassette.upkeep.remaking.merge import merge
from llmbatch.cassette.upkeep.remaking.scrubbing import Scrubbing
from llmbatch.cassette.upkeep.remaking.split import split
from llmbatch.errors import UsageError
from tests.support.lines import answer, write

GPU, LAPTOP = "https://gpu7.example/v1", "http://laptop.example:8000/v1"


def recorded_base(folder: Path) -> str:
    """Return the base URL that the answers of a cassette were recorded below."""
    with Store(folder) as store:
        return re.match(r"https?://[^/]+", next(iter(store)).call.request.url)[0]  # type: ignore[index]


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    """Two cassettes of one service, each with an alias of its own."""
    folders = [write(tmp_path / "a", [answer(1)]), write(tmp_path / "b", [answer(2)])]
    for folder, alias in zip(folders, (GPU, LAPTOP), strict=True):
        add_alias(folder, alias, recorded_base(folder))
    return folders


def test_a_merge_has_the_aliases_of_all_in_whatever_order(two: list[Path], tmp_path: Path) -> None:
    """Every address that found an answer before finds it after."""
    merge(two, tmp_path / "c", print)
    merge(two[::-1], tmp_path / "d", print)

    assert {GPU, LAPTOP} == set(read_aliases(tmp_path / "c").pairs)
    assert (tmp_path / "c" / ALIASES_FILE).read_bytes() == (tmp_path / "d" / ALIASES_FILE).read_bytes()
    assert [] == Store(tmp_path / "c").verify()


def test_aliases_that_contradict_each_other_are_not_merged(two: list[Path], tmp_path: Path) -> None:
    """An address has one meaning. Nothing is left of what was begun."""
    add_alias(two[1], GPU, f"{recorded_base(two[1])}/v1")

    with pytest.raises(UsageError, match="one meaning"):
        merge(two, tmp_path / "c", print)
    assert not (tmp_path / "c").exists()


def test_each_part_of_a_split_has_the_aliases(two: list[Path], tmp_path: Path) -> None:
    """A part is a cassette of its own, and merging the parts gives the whole again."""
    parts = split(two[0], tmp_path / "parts", print, by="model")

    assert parts
    assert all(GPU in read_aliases(tmp_path / "parts" / part.name).pairs for part in parts)


def test_a_secret_in_an_alias_is_named_and_not_written(two: list[Path], tmp_path: Path) -> None:
    """What is left of an address would be another address."""
    with pytest.raises(UsageError, match="holds what is to be taken out"):
        merge([two[0]], tmp_path / "c", print, rewriting=Scrubbing(patterns=[re.compile("gpu7")]))
    assert not (tmp_path / "c").exists()
