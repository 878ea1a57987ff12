"""What is taken out of a cassette is in the folder beside, at every moment, and what stays keeps its bytes."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from llmbatch.cassette.aliases import read_aliases
from llmbatch.cassette.store import Store
from llmbatch.cassette.upkeep.alias import add_alias
from llmbatch.cassette.upkeep.digests import Digests
from llmbatch.cassette.upkeep.pruning import folder_aside, prune, survey_of
from llmbatch.cassette.verify import problems_of
from llmbatch.errors import CassetteDamaged, DiskError
from tests.cassette.upkeep.filling import METADATA, body_of, call_of, fill, reply_of


def lines_in(*folders: Path) -> Counter[bytes]:
    """Return all interaction lines below the folders."""
    files = [path for folder in folders if folder.is_dir() for path in folder.glob("*.yaml")]
    return Counter(line for path in files for line in path.read_bytes().splitlines(keepends=True)[3:])


def asked(keys: list[str]) -> Digests:
    digests = Digests()
    for key in keys:
        digests.add(bytes.fromhex(key))
    return digests


def study(parent: Path) -> Path:
    """Make a cassette: of some segments a part goes, of some all, of some nothing; and failures of both kinds."""
    folder = parent / "study"
    first = [(f"t::{n}", body_of(str(n))) for n in range(4)]
    with Store(folder, record_mode="new_episodes", metadata=METADATA, segment_bytes=1) as store:
        for case, body in first[:1]:
            store.record(call_of(store, body), reply_of(), case=case)
    fill(folder, first[1:])
    with Store(folder, record_mode="new_episodes", metadata=METADATA, segment_bytes=1) as store:
        store.record(call_of(store, body_of("gone")), reply_of(), case="t::gone")
        store.record(call_of(store, body_of("kept")), reply_of(), case="t::kept")
        for text in ("0", "gone"):
            store.record_failure(call_of(store, body_of(text)), "server_error", "HTTP 500", case=f"t::{text}")
            store.record(call_of(store, body_of(text)), reply_of("again"), case=f"t::{text}")
    (folder / "generation-1.complete").touch()
    return folder


def keys_of(*texts: str) -> list[str]:
    store = Store(Path("nowhere"))
    return [call_of(store, body_of(text)).key.hex() for text in texts]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return study(tmp_path)


def test_both_cassettes_keep_the_aliases(folder: Path) -> None:
    """What was taken out answers at every address that it answered at before."""
    add_alias(folder, "https://gpu7.example/v1", "https://api.example.com/v1")
    aside = folder_aside(folder, "2026-01-02")
    prune(folder, asked(keys_of("0")), aside=aside)

    with Store(aside) as store:
        there = store.find(call_of(store, body_of("gone"), base_url="https://gpu7.example/v1").key)
    assert there is not None
    assert read_aliases(folder).pairs == read_aliases(aside).pairs
    assert [] == list(problems_of(aside))


def test_what_is_asked_stays_as_it_is_and_the_rest_becomes_a_cassette(folder: Path) -> None:
    """Lines keep bytes and order, failures and duplicates go with their key, files without a change are not touched."""
    before = lines_in(folder)
    wanted = asked(keys_of("0", "2", "kept"))
    untouched = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.yaml")}
    aside = folder_aside(folder, "2026-01-02")

    survey = survey_of(folder, wanted, lambda line: "because")
    prune(folder, wanted, aside=aside)

    assert "study-pruned-2026-01-02" == aside.name
    assert "study-pruned-2026-01-02-2" == folder_aside(folder, "2026-01-02").name
    assert before == lines_in(folder) + lines_in(aside)
    assert [] == [*problems_of(folder), *problems_of(aside)]
    with Store(folder) as store, Store(aside) as other:
        assert (3, 3) == (len(store), len(other))
        assert survey.stays.answers == len(store)
        assert survey.goes.answers == len(other) == survey.by_reason["t", "because"].answers
    assert sum(map(len, lines_in(aside).elements())) == survey.goes.bytes
    assert (aside / "generation-1.complete").is_file()
    same = [
        name for name, at in untouched.items() if (folder / name).exists() and (folder / name).stat().st_mtime_ns == at
    ]
    assert same


def test_a_damaged_line_is_not_taken_for_one_that_nobody_asks(folder: Path) -> None:
    """A flipped bit in its key would make it so; only its checksum tells."""
    path = folder / "segment-00001.yaml"
    [key] = keys_of("0")
    path.write_bytes(path.read_bytes().replace(key.encode(), b"0" * 32))

    with pytest.raises(CassetteDamaged, match="checksum"):
        survey_of(folder, asked([key]), lambda line: "")


def test_deleting_keeps_no_copy(folder: Path) -> None:
    """Only where it was asked for."""
    prune(folder, asked(keys_of("0")), aside=None)

    assert ["study"] == [path.name for path in folder.parent.iterdir()]
    assert {b"0"} == {line.split(b'\\"role\\":\\"user\\",\\"content\\":\\"')[1][:1] for line in _user_lines(folder)}


def _user_lines(folder: Path) -> list[bytes]:
    return [line.replace(b" ", b"") for line in lines_in(folder)]


class Killed(BaseException):
    """The process ends here."""


def test_killed_at_any_point_every_line_is_in_one_of_the_two_folders(tmp_path: Path) -> None:
    """And the same command again ends what was begun."""
    wanted = asked(keys_of("0", "2", "kept"))
    for point in itertools.count():
        folder = study(tmp_path / str(point))
        before = set(lines_in(folder))
        aside, again = folder.with_name("aside"), folder.with_name("again")
        killed = kill_at(point, partial(prune, folder, wanted, aside=aside))

        assert before == set(lines_in(folder, aside))
        assert [] == list(problems_of(folder))

        prune(folder, wanted, aside=again)

        assert before == set(lines_in(folder, aside, again))
        assert [] == list(folder.glob(".*.unfinished"))
        with Store(folder) as store:
            assert 3 == len(store)
        if not killed:
            break
    assert 20 < point


def kill_at(point: int, work: Callable[[], None]) -> bool:
    """Do the work up to its n-th step on the disk; return whether it came so far."""
    left = point

    def dying(original: Any) -> Any:
        def step(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return original(*arguments, **options)

        return step

    with pytest.MonkeyPatch.context() as patch:
        for name in ("write", "fsync"):
            patch.setattr(os, name, dying(getattr(os, name)))
        for name in ("replace", "rename", "unlink", "mkdir", "touch", "open"):
            patch.setattr(Path, name, dying(getattr(Path, name)))
        try:
            work()
        except Killed:
            return True
    return False


def test_a_full_disk_is_said_and_leaves_whole_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the next step."""
    before = lines_in(folder)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskError, match="No space left"):
        prune(folder, asked(keys_of("0")), aside=folder.with_name("aside"))

    assert before == lines_in(folder)
