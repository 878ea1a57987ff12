"""A cassette from a stranger whose checksums are right: whole lines that llmbatch did not write, one test a threat."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from llmbatch.call.values import Reply
from llmbatch.cassette.line import BadLineError, decode, decode_reply, frame, payload_of, with_crc
from llmbatch.cassette.segment import Metadata, header_bytes
from llmbatch.cassette.store import Store
from llmbatch.cli import main
from llmbatch.errors import CassetteDamaged
from tests.support.memory import PEAK_MIB, needs_peak_memory

URL = "https://api.example.com/v1/chat/completions"
SEGMENT = "segment-00001.yaml"


def fill(folder: Path, body: bytes = b"{}") -> bytes:
    """Record one answer and return its line."""
    with Store(folder, record_mode="new_episodes") as store:
        call = store.call(store.request("POST", URL, {"content-type": "application/json"}, body), 0, 0)
        store.record(call, Reply(200, "OK", {"content-type": ("a",)}, b"{}", "2026-01-02T03:04:05Z", 1), case="c")
    return (folder / SEGMENT).read_bytes().split(b"\n")[3] + b"\n"


def changed(line: bytes, *path: str, value: Any) -> bytes:
    """Return the line with one member set (or, with the value `...`, left out), and the checksum put right."""
    document = json.loads(payload_of(line, b"- "))
    inner = document
    for name in path[:-1]:
        inner = inner[name]
    if value is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return with_crc(b"- ", orjson.dumps(document))


OTHER_TYPES = [..., None, 1.5, "x", [], {}, True, -1, [1], {"a": 1}, 2**64 - 1]
MEMBERS = [
    ("key",),
    ("generation",),
    ("repeat",),
    ("ordinal",),
    ("recorded_at",),
    ("taken_us",),
    ("case",),
    ("request",),
    ("request", "method"),
    ("request", "uri"),
    ("request", "body"),
    ("request", "headers"),
    ("request", "headers", "content-type"),
    ("response",),
    ("response", "status"),
    ("response", "status", "code"),
    ("response", "status", "message"),
    ("response", "headers"),
    ("response", "headers", "content-type"),
    ("response", "body"),
    ("response", "body", "string"),
]


@pytest.mark.parametrize("path", MEMBERS, ids=".".join)
def test_members_of_another_type_are_named_and_never_crash(path: tuple[str, ...], tmp_path: Path) -> None:
    """A checksum says that a line is whole, not that we wrote it: what is served is of the right types, or refused."""
    line = fill(tmp_path / "good")
    folder = tmp_path / "bad"
    folder.mkdir()
    for value in OTHER_TYPES:
        hostile = changed(line, *path, value=value)
        for read in (frame, decode, decode_reply):
            with suppress(BadLineError):
                read(hostile)
        (folder / SEGMENT).write_bytes(header_bytes(Metadata()) + hostile)
        problems = Store(folder).verify()
        with suppress(CassetteDamaged) if problems else nullcontext(), Store(folder) as store:
            for found in store:
                assert isinstance(found.reply.header("content-type"), str | None)
                assert isinstance(found.reply.recorded_at + found.reply.reason + found.call.request.url, str)
            store.content_digest()


@pytest.mark.parametrize("member", ["endpoints", "prices", "ignore", "key_version", "format"])
def test_metadata_of_another_type_is_refused(member: str, tmp_path: Path) -> None:
    """Prices become costs and base URLs are called: neither may be anything else."""
    values: list[Any] = [
        ...,
        None,
        "x",
        1e400,
        [1],
        {"a": 1},
        {"a": {"usd_per_million_in": "nan"}},
        {"a": {"b": []}},
        {"a": {"source": 5}},
        2**70,
    ]
    for value in values:
        document = json.loads(Metadata().payload())
        document[member] = value
        if value is ...:
            del document[member]
        head = with_crc(b"metadata: ", json.dumps(document).replace("Infinity", "1e400").encode())
        (tmp_path / SEGMENT).write_bytes(b"version: 1\n" + head + b"interactions:\n" + fill(tmp_path / "good"))

        assert Store(tmp_path).verify(), value
        if member not in ("format", "key_version") or not isinstance(value, int):
            with pytest.raises(CassetteDamaged):
                Store(tmp_path).open()


def test_duplicate_members_are_read_as_yaml_reads_them(tmp_path: Path) -> None:
    """The last counts, for stock vcrpy and for us: no line has one answer here and another there."""
    line = fill(tmp_path)
    payload = payload_of(line, b"- ")
    last = payload.replace(b'"string":"{}"', b'"string":"last"')
    doubled = with_crc(b"- ", payload[:-1] + b',"response":' + last.partition(b',"response":')[2])

    assert "last" == yaml.safe_load(doubled)[0]["response"]["body"]["string"]
    assert b"last" == decode_reply(doubled).body


def test_deep_bodies_are_bytes_and_deep_lines_are_refused(tmp_path: Path) -> None:
    """100,000 levels: a body is never parsed to be served, and a line's own JSON has a bound."""
    body = b"[" * 100_000
    fill(tmp_path, body)
    with Store(tmp_path) as store:
        (found,) = store
    deep = with_crc(b"- ", payload_of(fill(tmp_path / "x"), b"- ").replace(b'"case":"c"', b'"case":' + body))

    assert body == found.call.request.body
    assert [] == Store(tmp_path).verify()
    for read in (decode, decode_reply):
        with pytest.raises(BadLineError):
            read(deep)


@pytest.mark.parametrize("number", ["-1", "+1", "1_0", " 1", "9" * 10, "9" * 5000, "\u0661"])
def test_generations_that_are_none_are_refused(number: str, tmp_path: Path) -> None:
    """Python reads more numbers than JSON has, and a number without a bound is no generation."""
    payload = payload_of(fill(tmp_path), b"- ").replace(b'"generation":0', b'"generation":' + number.encode())

    with pytest.raises(BadLineError, match="generation"):
        frame(with_crc(b"- ", payload))


def test_failures_of_an_unknown_kind_are_shown_as_the_services(tmp_path: Path) -> None:
    """A newer llmbatch, or a stranger, may have words that this one does not know."""
    with Store(tmp_path, record_mode="new_episodes") as store:
        call = store.call(store.request("GET", URL, {}, None), 0, 0)
        store.record_failure(call, "struck_by_lightning", "oh")

        failure = store.find_failure(call.key)
    assert failure is not None
    assert ("server_error", "oh") == (failure.as_failure().kind, failure.as_failure().message)


def test_only_the_one_name_of_a_segment_is_a_segment(tmp_path: Path) -> None:
    """Other digits, or more noughts, would be read under the name of another file."""
    line = fill(tmp_path)
    arabic = "segment-\u0660\u0660\u0660\u0660\u0662.yaml"
    for name in ("segment-0000001.yaml", arabic, "segment-00002.yaml\n", "x.yaml"):
        (tmp_path / name).write_bytes(header_bytes(Metadata()) + line)
    (tmp_path / "generation-\u0663.complete").touch()

    with Store(tmp_path) as store:
        assert 1 == len(list(store))
        assert 0 == store.generation
    assert [] == store.verify()


@pytest.mark.skipif(os.name != "posix", reason="links need rights elsewhere")
def test_links_that_lead_nowhere_or_out_are_refused(tmp_path: Path) -> None:
    """To a file of ours, to themselves, through the folder and out again."""
    fill(tmp_path / "mine")
    for target in ("../mine/" + SEGMENT, SEGMENT, "a/../../mine/" + SEGMENT, "/etc/hostname"):
        folder = tmp_path / "theirs"
        folder.mkdir(exist_ok=True)
        (folder / SEGMENT).unlink(missing_ok=True)
        (folder / SEGMENT).symlink_to(target)

        assert Store(folder).verify(), target
        with pytest.raises(CassetteDamaged):
            Store(folder).open()


@needs_peak_memory
@pytest.mark.parametrize("place", ["first", "metadata", "line"])
def test_a_huge_line_of_a_segment_is_refused_with_flat_memory(place: str, tmp_path: Path) -> None:
    """CWE-400: three GiB without a line break, sparse; verify and replay read no more of it than the cap."""
    folder = tmp_path / "huge"
    line = fill(folder)
    starts = {"first": b"", "metadata": b"version: 1\nmetadata: ", "line": header_bytes(Metadata()) + line + b"- "}
    with (folder / SEGMENT).open("wb") as stream:
        stream.write(starts[place])
        stream.truncate(3 << 30)
    script = (
        f"import sys; from llmbatch.cli import main\n{PEAK_MIB}\n"
        "code = main(['cassette', *sys.argv[1:]]); print(peak_mib()); sys.exit(code)"
    )
    for command in (["verify", "huge"], ["export", "huge", "--to", "out.jsonl"]):
        process = [sys.executable, "-c", script, *command]
        finished = subprocess.run(process, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
        if place == "line":
            assert (1 if command[0] == "verify" else 4) == finished.returncode, finished.stderr
        assert 300 > int(finished.stdout.split()[-1]), command
    assert not (tmp_path / "out.jsonl").exists() or place != "line"


def test_what_a_stranger_wrote_is_printed_without_escapes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """CWE-150: a terminal obeys what it is sent, also from the name of a file."""
    line = fill(tmp_path / "good")
    folder = tmp_path / "theirs \x1b[2J"
    folder.mkdir()
    (folder / SEGMENT).write_bytes(header_bytes(Metadata()) + changed(line, "request", "method", value=["\x1b[2J"]))

    codes = [
        main(["cassette", "verify", str(folder)]),
        main(["cassette", "export", str(tmp_path / "good"), "--to", str(tmp_path / "\x1b[2J.jsonl")]),
        main(["cassette", "import", str(tmp_path / "\x1b[2J.jsonl"), "--into", str(tmp_path / "\x1b[2J")]),
    ]
    assert [1, 0, 0] == codes
    assert "\x1b" not in capsys.readouterr().out
