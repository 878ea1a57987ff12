"""One file for others: stock vcrpy replays the YAML, JSON lines lose nothing, and no file is overwritten unasked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
import vcr
import vcr.serialize
import yaml
from vcr.serializers import yamlserializer

from llmbatch.cassette.store import Store
from llmbatch.cli import main
from tests.cassette.upkeep.conftest import JSON, REPLIES, URL, Fill

EVERY = len(REPLIES) + 2


def test_stock_vcrpy_replays_the_exported_yaml(tmp_path: Path, fill: Fill) -> None:
    """Matched on method, URI and body, with the client that the OpenAI package uses."""
    fill(tmp_path / "mine")
    exported = tmp_path / "out.yaml"
    assert 0 == main(["cassette", "export", str(tmp_path / "mine"), "--to", str(exported)])

    assert exported.read_bytes().startswith(b"interactions:\n- request:\n    body: ")
    cassette = vcr.VCR().use_cassette(str(exported), record_mode="none", match_on=["method", "uri", "body"])
    with cassette as opened, httpx2.Client() as client:
        assert EVERY == len(opened)
        for body, answer in REPLIES.items():
            assert answer == client.post(URL, content=body, headers=JSON).content


@pytest.mark.parametrize("loader", [getattr(yaml, "CSafeLoader", yaml.SafeLoader), yaml.SafeLoader])
def test_both_yaml_loaders_read_the_same_bytes(tmp_path: Path, fill: Fill, loader: type) -> None:
    """vcrpy takes libyaml's where there is one, and they differ on some characters."""
    fill(tmp_path / "mine")
    exported = tmp_path / "out.yaml"
    main(["cassette", "export", str(tmp_path / "mine"), "--to", str(exported)])
    loaded = yaml.load(exported.read_bytes(), Loader=loader)

    assert 1 == loaded["version"]
    found = [each["response"]["body"]["string"] for each in loaded["interactions"]]
    assert list(REPLIES.values()) == [
        each.encode() if isinstance(each, str) else each for each in found[: len(REPLIES)]
    ]


def test_an_empty_cassette_is_exported_as_one_that_vcrpy_loads(tmp_path: Path) -> None:
    """`interactions:` with nothing behind it would be a TypeError there."""
    (tmp_path / "none").mkdir()
    exported = tmp_path / "out.yaml"

    assert 0 == main(["cassette", "export", str(tmp_path / "none"), "--to", str(exported)])
    requests, responses, *_ = vcr.serialize.deserialize(exported.read_text(encoding="utf-8"), yamlserializer)
    assert ([], []) == (requests, responses)


def test_json_lines_come_back_byte_for_byte(tmp_path: Path, fill: Fill) -> None:
    """Keys, draws, times, cases, any body, and the failed attempts: a second export is the same file."""
    digest = fill(tmp_path / "mine")
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    codes = [
        main(["cassette", "export", str(tmp_path / "mine"), "--to", str(first), "--failures"]),
        main(["cassette", "import", str(first), "--into", str(tmp_path / "theirs")]),
        main(["cassette", "export", str(tmp_path / "theirs"), "--to", str(second), "--failures"]),
    ]

    assert [0, 0, 0] == codes
    assert first.read_bytes() == second.read_bytes()
    with Store(tmp_path / "theirs") as store:
        assert (digest, []) == (store.content_digest(), store.verify())


def test_a_json_body_can_be_read_as_json(tmp_path: Path, fill: Fill) -> None:
    """Its text stands beside it only where JSON would not give the same bytes again."""
    fill(tmp_path / "mine")
    exported = tmp_path / "out.jsonl"
    main(["cassette", "export", str(tmp_path / "mine"), "--to", str(exported)])
    chat, pretty, binary, empty, twice, plain = [
        json.loads(line)["response"] for line in exported.read_text(encoding="utf-8").split("\n")[: len(REPLIES)]
    ]

    assert "m-1" == chat["json"]["model"]
    assert "text" not in chat
    assert (1.5, True) == (pretty["json"]["pretty"], "\n" in pretty["text"])
    assert "base64" in binary
    assert "" == empty["text"]
    assert '{"a":1,"a":2}' == twice["text"]
    assert "json" not in plain


def test_failed_attempts_are_exported_only_when_asked_for(tmp_path: Path, fill: Fill) -> None:
    """YAML has no place for the one without a response."""
    fill(tmp_path / "mine")
    numbers = {}
    for name in ("a.jsonl", "a.yaml"):
        for flags in ([], ["--failures"]):
            target = tmp_path / name
            main(["cassette", "export", str(tmp_path / "mine"), "--to", str(target), "--force", *flags])
            text = target.read_text(encoding="utf-8")
            numbers[name, bool(flags)] = text.count('{"key"') + text.count("\n- request:")

    assert (EVERY, EVERY + 2) == (numbers["a.jsonl", False], numbers["a.jsonl", True])
    assert (EVERY, EVERY + 1) == (numbers["a.yaml", False], numbers["a.yaml", True])


def test_a_file_that_is_there_is_refused_unless_forced(
    tmp_path: Path, fill: Fill, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may be the only copy of something else. A link counts as a file, and what it leads to stays as it is."""
    fill(tmp_path / "mine")
    precious, link = tmp_path / "precious", tmp_path / "out.jsonl"
    precious.write_text("mine", encoding="utf-8")
    link.symlink_to(precious)
    command = ["cassette", "export", str(tmp_path / "mine"), "--to", str(link)]

    assert 4 == main(command)
    assert "--force" in capsys.readouterr().err
    assert 0 == main([*command, "--force"])
    assert ("mine", False) == (precious.read_text(encoding="utf-8"), link.is_symlink())
    assert ["mine", "out.jsonl", "precious"] == sorted(path.name for path in tmp_path.iterdir())


def test_a_damaged_cassette_leaves_no_half_file(tmp_path: Path, fill: Fill) -> None:
    """Whoever finds the file takes it for whole."""
    fill(tmp_path / "mine")
    segment = tmp_path / "mine" / "segment-00001.yaml"
    segment.write_bytes(segment.read_bytes().replace(b"draw 1", b"draw 9"))

    assert 4 == main(["cassette", "export", str(tmp_path / "mine"), "--to", str(tmp_path / "out.jsonl")])
    assert ["mine"] == [path.name for path in tmp_path.iterdir()]


def test_a_full_disk_is_said_and_leaves_the_old_file(tmp_path: Path, fill: Fill) -> None:
    """The new file takes the place of the old one only when it is whole. A real limit, in a process of its own."""
    pytest.importorskip("resource")
    fill(tmp_path / "mine")
    target = tmp_path / "out.jsonl"
    target.write_text("old", encoding="utf-8")
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); "
        "from llmbatch.cli import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", script, "cassette", "export", "mine", "--to", "out.jsonl", "--force"]
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert 7 == finished.returncode, finished.stderr
    assert "old" == target.read_text(encoding="utf-8")
    assert ["mine", "out.jsonl"] == sorted(path.name for path in tmp_path.iterdir())


def test_an_unknown_suffix_needs_a_format(tmp_path: Path, fill: Fill, capsys: pytest.CaptureFixture[str]) -> None:
    """Guessing would write what nobody asked for."""
    fill(tmp_path / "mine")
    command = ["cassette", "export", str(tmp_path / "mine"), "--to", str(tmp_path / "out.txt")]

    assert 4 == main(command)
    assert "add --format" in capsys.readouterr().err
    assert 0 == main([*command, "--format", "jsonl"])
