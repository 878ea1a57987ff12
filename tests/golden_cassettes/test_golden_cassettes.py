"""Every cassette that a released version wrote opens for ever, with the same answers under the same keys."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from vcr.persisters.filesystem import FilesystemPersister
from vcr.serializers import yamlserializer

from llmbatch.cassette.store import Store
from llmbatch.cassette.verify import problems_of
from tests.golden_cassettes.make_golden import described

HERE = Path(__file__).parent
GOLDEN = sorted(path for path in HERE.iterdir() if re.fullmatch(r"\d+\.\d+\.\d+", path.name))


def test_there_is_a_golden_cassette() -> None:
    """Without one, the tests below would hold of nothing."""
    assert GOLDEN


@pytest.mark.parametrize("folder", GOLDEN, ids=lambda path: path.name)
def test_a_golden_cassette_is_sound(folder: Path) -> None:
    """Also its keys: one that moved would never be found again."""
    assert [] == list(problems_of(folder))


@pytest.mark.parametrize("folder", GOLDEN, ids=lambda path: path.name)
def test_a_golden_cassette_gives_the_answers_it_always_gave(folder: Path) -> None:
    """Value by value, beside what was found when it was made; and each is found by its key."""
    assert (folder / "expected.jsonl").read_bytes().splitlines(keepends=True) == described(folder)
    with Store(folder) as store:
        assert all(each.reply == store.find(each.call.key) for each in store)


@pytest.mark.parametrize("loader", [yaml.CSafeLoader, yaml.SafeLoader])
@pytest.mark.parametrize("folder", GOLDEN, ids=lambda path: path.name)
def test_yaml_reads_a_golden_cassette_as_llmbatch_does(folder: Path, loader: type[yaml.SafeLoader]) -> None:
    """Both loaders of PyYAML, the fast and the plain one."""
    bodies = set()
    for path in sorted(folder.glob("segment-*.yaml")):
        document = yaml.load(path.read_bytes(), Loader=loader)
        bodies |= {_bytes(each["response"]["body"]["string"]) for each in document["interactions"]}
    with Store(folder) as store:
        assert {each.reply.body for each in store} <= bodies


@pytest.mark.parametrize("folder", GOLDEN, ids=lambda path: path.name)
def test_stock_vcrpy_loads_a_golden_cassette(folder: Path) -> None:
    """vcrpy's own reading, as in `use_cassette`."""
    for path in sorted(folder.glob("segment-*.yaml")):
        requests, responses, *_ = FilesystemPersister.load_cassette(path, yamlserializer)
        assert len(requests) == len(responses) == path.read_bytes().count(b"\n- {")


@pytest.mark.parametrize("folder", GOLDEN, ids=lambda path: path.name)
def test_a_golden_cassette_answers_for_the_addresses_it_says(folder: Path) -> None:
    """Its alias leads to what was recorded under another base URL."""
    with Store(folder) as store:
        moved = store.request("POST", "https://moved.example/v1/chat", {"content-type": "x"}, b'{"later":true}')
        reply = store.find(store.call(moved, 0, 0).key)

    assert reply is not None
    assert b"later" == reply.body


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
