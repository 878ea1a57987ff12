"""Files from strangers, one test a threat: refused by an error of ours that names the line, with nothing done."""

from __future__ import annotations

import base64
import gzip
import io
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from llmbatch.cassette.store import Store
from llmbatch.cassette.upkeep.exchange.incoming import Incoming, Unusable
from llmbatch.cassette.upkeep.exchange.stock_yaml import DEEPEST, read_stock_yaml
from llmbatch.cli import main
from llmbatch.errors import CassetteDamaged

GOOD = """- request: {body: null, headers: {}, method: GET, uri: 'http://h.example/%s'}
  response: {body: {string: %s}, headers: {}, status: {code: 200, message: OK}}
"""


def stock(*items: str, before: str = "", after: str = "version: 1\n") -> bytes:
    return (before + "interactions:\n" + "".join(items) + after).encode()


def good(path: str, body: str = "x") -> str:
    return GOOD % (path, body)


def read(data: bytes) -> list[Incoming | Unusable]:
    return list(read_stock_yaml(io.BytesIO(data), "s.yaml"))


def import_in_a_process(file: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Import into a folder beside the file, and print the most memory that it took, in MiB, as the last line."""
    script = (
        "import sys; from llmbatch.cli import main; code = main()\n"
        "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)\nsys.exit(code)"
    )
    command = [sys.executable, "-c", script, "cassette", "import", file.name, "--into", "new", *more]
    return subprocess.run(command, cwd=file.parent, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize(
    "tag",
    [
        '!!python/object/apply:os.system ["touch pwned"]',
        "!!python/object/new:os.system [touch pwned]",
        "!!python/name:os.system",
        "!!python/module:os",
        "!!python/unicode 'x'",
        "!!set {x}",
        "!!timestamp 2001-01-01",
        "!<tag:yaml.org,2002:python/object/apply:os.system> [touch pwned]",
        "!own x",
    ],
)
@pytest.mark.parametrize("place", ["body", "member", "unknown", "first"])
def test_tags_that_build_objects_are_refused(
    tag: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """GHSA-rpj2-4hq8-938g: the unsafe loader runs what a cassette names. Nothing is run, wherever it stands."""
    monkeypatch.chdir(tmp_path)
    data = {
        "body": stock(good("a"), good("b", tag)),
        "member": stock(good("a"), f"- {tag}\n"),
        "unknown": stock(good("a"), after=f"recorded_with: {tag}\n"),
        "first": tag.encode(),
    }[place]
    (tmp_path / "s.yaml").write_bytes(data)

    assert 4 == main(["cassette", "import", "s.yaml", "--into", "new"])
    said = capsys.readouterr().err
    assert "CassetteDamaged" in said
    assert "the tag" in said or "not YAML" in said  # some are no YAML inside of braces
    assert not (tmp_path / "pwned").exists()


def test_an_alias_bomb_is_refused_at_once() -> None:
    """Billion laughs (CWE-776): 25 levels of nine aliases are a few hundred bytes."""
    levels = ["a0: &a0 [x]\n"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 26)]
    inside = [f"- {{request: &b{n} {{x: [{', '.join([f'*b{n - 1}'] * 9)}]}}}}\n" for n in range(1, 26)]

    started = time.process_time()
    for data in (stock(good("a"), before="".join(levels)), stock(*inside)):
        with pytest.raises(CassetteDamaged, match="anchor"):
            read(data)
    assert 0.1 > time.process_time() - started


def test_merge_keys_are_refused() -> None:
    """They need an alias to be a bomb, and are no member either; a quoted one is a header's name like any other."""
    for merged in ("{<<: {a: b}}", "{<<: [{a: b}, {c: d}]}"):
        with pytest.raises(CassetteDamaged, match="merges") as caught:
            read(stock(good("a"), good("b", merged)))
        assert "s.yaml:5" == caught.value.place

    (found,) = read(stock("- {request: {method: GET, uri: u, headers: {'<<': x}}, response: {status: 200}}\n"))
    assert isinstance(found, Incoming)
    assert {"<<": ("x",)} == found.headers


@pytest.mark.parametrize(
    "bomb",
    ["[" * 100_000, "{a: " * 100_000, "- " * 100_000 + "x", "? " * 100_000 + "x", "[" * 100_000 + "]" * 100_000],
    ids=["open lists", "open mappings", "block lists", "block keys", "closed lists"],
)
@pytest.mark.parametrize("place", ["body", "unknown", "first"])
def test_a_nesting_bomb_ends_in_our_error_and_not_in_a_crash(bomb: str, place: str, tmp_path: Path) -> None:
    """PyYAML's C loader ends the process by SIGSEGV at 100,000 levels, which no `except` can see."""
    pytest.importorskip("resource")
    file = tmp_path / "s.yaml"
    inside = f"- request:\n    body:\n      {bomb}\n"
    unknown = stock(good("a"), after=f"x:\n  {bomb}\n")
    file.write_bytes({"body": stock(good("a"), inside), "unknown": unknown, "first": bomb.encode()}[place])
    finished = import_in_a_process(file)

    assert 4 == finished.returncode, finished.stderr
    assert "CassetteDamaged" in finished.stderr


def test_nesting_within_reason_is_read() -> None:
    """The bound is far above what vcrpy writes."""
    deep = "[" * (DEEPEST - 4) + "]" * (DEEPEST - 4)

    (found,) = read(stock(good("a", deep)))
    assert isinstance(found, Unusable)
    with pytest.raises(CassetteDamaged, match="nested more than"):
        read(stock(good("a", f"[[[[{deep}]]]]")))


class _Endless(io.RawIOBase):
    """A file of one line that has no end, after a good beginning; counts what was read of it."""

    def __init__(self, start: bytes) -> None:
        self.left, self.given = start, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        size = len(buffer)
        part = self.left[:size].ljust(size, b"a")
        self.left, self.given = self.left[size:], self.given + size
        buffer[:] = part
        return size


STARTS = ["- request: {body: '", "- request: {body: ", "# ", "- request:\n    body: |\n      "]


@pytest.mark.parametrize("start", STARTS, ids=["quoted", "plain", "comment", "literal"])
def test_an_endless_interaction_is_refused_at_the_cap(start: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scalar of any style, or a comment: what is read of it is the cap and no more."""
    monkeypatch.setattr("llmbatch.cassette.upkeep.exchange.incoming.RECORD_CAP", 1 << 20)
    endless = _Endless(stock(good("a"), start, after=""))
    found: list[object] = []

    with pytest.raises(CassetteDamaged, match="longer than 1048576"):
        found.extend(read_stock_yaml(io.BufferedReader(endless), "s.yaml"))
    assert (1 << 20) + (1 << 18) > endless.given


@pytest.mark.parametrize("name", ["s.yaml", "s.jsonl", "requests.jsonl"])
def test_a_huge_line_is_refused_with_flat_memory(name: str, tmp_path: Path) -> None:
    """CWE-400: three GiB without a line break, as a sparse file that takes no space and cannot be held."""
    pytest.importorskip("resource")
    file = tmp_path / name
    start = stock(good("a"), "- request: {body: '", after="") if name == "s.yaml" else b'{"custom_id":"'
    with file.open("wb") as stream:
        stream.write(start)
        stream.truncate(3 << 30)
    more = []
    if name == "requests.jsonl":
        more = ["--requests", name]
        file = tmp_path / "out.jsonl"
        file.write_text("{}", encoding="utf-8")
    finished = import_in_a_process(file, *more)

    assert 4 == finished.returncode, finished.stderr
    assert "CassetteDamaged" in finished.stderr
    assert 400 > int(finished.stdout.split()[-1])


def test_a_huge_file_takes_no_memory(tmp_path: Path) -> None:
    """Interactions are held one at a time: 25 MB of them take no more than a few."""
    pytest.importorskip("resource")
    peaks = []
    for number in (2, 25):
        file = tmp_path / "s.yaml"
        with file.open("wb") as stream:
            stream.write(b"interactions:\n")
            for each in range(number):
                stream.write(good(str(each), "y" * 1_000_000).encode())
        finished = import_in_a_process(file)
        assert 0 == finished.returncode, finished.stderr
        peaks.append(int(finished.stdout.split()[-1]))

    assert 20 > peaks[1] - peaks[0], peaks


def test_members_that_stand_twice_are_refused() -> None:
    """Two readers of one file would see two requests."""
    for item in (
        "- {request: {method: GET, method: PUT, uri: u}, response: {status: 200}}\n",
        "- {request: {method: GET, uri: u}, response: {status: 200}, request: {method: PUT, uri: u}}\n",
    ):
        with pytest.raises(CassetteDamaged, match="stands there twice"):
            read(stock(good("a"), item))
    with pytest.raises(CassetteDamaged, match="twice"):
        read(stock(good("a"), after="interactions: []\n"))
    with pytest.raises(CassetteDamaged, match="second YAML document"):
        read(stock(good("a"), after="--- 1\n"))


STATUSES = [".nan", ".inf", "9" * 5000, "-200", "2_00", "0x200", "200.0", "'200 '", "\u0662\u0660\u0660", "true"]


@pytest.mark.parametrize("code", STATUSES, ids=lambda code: code[:9])
def test_statuses_that_are_none_are_skipped(code: str) -> None:
    """YAML knows many ways to write a number; a status is three digits."""
    item = "- {request: {method: GET, uri: u}, response: {status: {code: CODE}}}\n"
    (found,) = read(stock(item.replace("CODE", code)))

    assert isinstance(found, Unusable)


def test_numbers_and_dates_in_a_body_stay_text() -> None:
    """Nothing is made of them: no float, no integer of a million digits, no date that is none."""
    for text in (".nan", "9" * 100_000, "1e999", "2001-99-99", "0o17", "yes"):
        (found,) = read(stock(good("a", text)))
        assert isinstance(found, Incoming)
        assert found.reply is not None
        assert text.encode() == found.reply.body


def test_lone_surrogates_end_in_an_error_of_ours() -> None:
    """No UTF-8 can hold one; libyaml refuses the escape, the pure loader passes it on."""
    try:
        (found,) = read(stock(good("a", '"\\ud83d"')))
    except CassetteDamaged:
        return
    assert isinstance(found, Unusable)


@pytest.mark.parametrize("url", ["http://[x", "//[", "\\ud800", "", "http://h:99999999999/", "data:,x"])
def test_addresses_that_are_none_are_texts(url: str, tmp_path: Path) -> None:
    """Found by fuzzing: Python's own parser of URLs raises for brackets that hold no address."""
    (tmp_path / "s.yaml").write_bytes(
        stock(f"- {{request: {{method: GET, uri: '{url}'}}, response: {{status: 200}}}}\n")
    )

    assert 0 == main(["cassette", "import", str(tmp_path / "s.yaml"), "--into", str(tmp_path / "new")])
    assert [] == Store(tmp_path / "new").verify()


def test_a_byte_order_mark_and_windows_line_ends_are_read() -> None:
    """Editors add them; a body's own line ends are escaped in YAML, and stay."""
    body = '"a\\r\\nb"'
    (found,) = read(b"\xef\xbb\xbf" + stock(good("a", body)).replace(b"\n", b"\r\n"))

    assert isinstance(found, Incoming)
    assert found.reply is not None
    assert b"a\r\nb" == found.reply.body


NO_CASSETTES = [b"", b"\n", b"version: 1\n", b"[]", b"- request: {}\n", b"interactions: 1\n", b"interactions:\n"]


@pytest.mark.parametrize("data", [*NO_CASSETTES, b"\x00", b"\xff\xfe", b"\xff\xfe\x00\xd8"])
def test_what_is_no_cassette_is_said_to_be_none(data: bytes) -> None:
    """Also one of vcrpy's version 0, which was a list."""
    with pytest.raises(CassetteDamaged, match="not read on"):
        read(data)


def test_a_cut_file_gives_what_stands_before_the_cut() -> None:
    """Stock vcrpy, killed while saving, leaves such a file."""
    whole = stock(good("a"), good("b"), good("c"))
    for end in range(len(whole)):
        found: list[Incoming | Unusable] = []
        with suppress(CassetteDamaged):
            found.extend(read_stock_yaml(io.BytesIO(whole[:end]), "s.yaml"))
        before = whole[:end].count(b"\n- request")  # those behind which another begins are whole
        urls = [each.url for each in found if isinstance(each, Incoming)]
        assert urls == [f"http://h.example/{name}" for name in "abc"][: len(urls)]
        assert len(urls) >= before - 1


def hostile_json_lines() -> Iterator[bytes]:
    head = b'{"key":"00","generation":0,"repeat":0,"ordinal":0,"recorded_at":"","taken_us":1,"case":null,'
    tail = b'"response":{"status":200,"reason":"OK","headers":{},"text":"x"}}'
    request = b'"request":{"method":"GET","url":"http://h/","headers":{}},'
    yield b"[" * 100_000
    yield b'{"a":' * 100_000
    yield head + request + tail.replace(b"200", b"NaN")
    yield head + request + tail.replace(b"200", b"9" * 5000)
    yield head + request + tail.replace(b'"x"', b'"\\ud83d"')
    yield head + request + tail.replace(b"{}", b'{"a":"b"}')
    yield head.replace(b'"repeat":0', b'"repeat":-1') + request + tail
    yield head.replace(b'"repeat":0', b'"repeat":1e3') + request + tail
    yield head.replace(b'"00"', b'"../../evil"') + request + tail
    yield b"null"
    yield b'{"custom_id":{},"response":[]}'


@pytest.mark.parametrize("form", ["jsonl", "openai-batch"])
@pytest.mark.parametrize("line", list(hostile_json_lines()), ids=lambda line: line[-40:].decode())
def test_hostile_json_lines_are_skipped(line: bytes, form: str, tmp_path: Path) -> None:
    """Depth, NaN, huge integers, lone surrogates, other types: no line ends the import of the next."""
    file = tmp_path / "s.jsonl"
    good_line = b'{"custom_id":"a","response":{"status_code":200,"body":{"choices":[{}]}}}'
    file.write_bytes(b"\xef\xbb\xbf" + line + b"\r\n\r\n" + good_line + b"\r\n")
    asked = tmp_path / "in.jsonl"
    asked.write_bytes(b'\xef\xbb\xbf{"custom_id":"a","url":"/v1/chat/completions","body":{}}\r\n')

    more = ["--requests", str(asked)] if form == "openai-batch" else []
    assert 1 == main(["cassette", "import", str(file), "--into", str(tmp_path / "new"), "--format", form, *more])
    with Store(tmp_path / "new") as store:
        assert (len(more) // 2, []) == (len(store), store.verify())


def test_no_path_comes_out_of_a_file(tmp_path: Path) -> None:
    """Names in a file are texts: nothing is written but the segments of the folder that was named."""
    item = "- {request: {method: ../../evil, uri: file:///../../evil}, response: {status: 200}, case: ../x}\n"
    file = tmp_path / "in" / "s.yaml"
    file.parent.mkdir()
    file.write_bytes(stock(item))

    assert 0 == main(["cassette", "import", str(file), "--into", str(tmp_path / "in" / "new")])
    assert ["in"] == [path.name for path in tmp_path.iterdir()]
    assert ["segment-00001.yaml"] == [path.name for path in (tmp_path / "in" / "new").iterdir()]


def test_a_gzip_bomb_is_no_answer_and_takes_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that grows beyond the cap when decoded is filed as a failed attempt, as when recording."""
    for place in ("recording.wire", "store"):
        monkeypatch.setattr(f"llmbatch.cassette.{place}.RECORD_CAP", 1 << 20)
    bomb = base64.b64encode(gzip.compress(bytes(64 << 20), 9)).decode()
    item = f"""- request: {{method: GET, uri: 'http://h.example/'}}
  response: {{body: {{string: !!binary "{bomb}"}}, headers: {{content-encoding: [gzip]}}, status: {{code: 200}}}}
"""
    (tmp_path / "s.yaml").write_bytes(stock(item))

    tracemalloc.start()
    code = main(["cassette", "import", str(tmp_path / "s.yaml"), "--into", str(tmp_path / "new")])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    with Store(tmp_path / "new") as store:
        (failure,) = store.failures()
        assert 0 == len(store)
    assert (0, "too_large") == (code, failure.kind)
    assert 16 << 20 > peak


def test_without_libyaml_the_same_is_read_and_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML's own parser stands in where the C library is missing."""
    data = stock(good("a", '"\\u2028 caf\\xe9 \\U0001F600"'), good("b", "!!binary '/wA='"))
    expected = read(data)
    monkeypatch.setattr("llmbatch.cassette.upkeep.exchange.stock_yaml._PARSER", yaml.SafeLoader)

    assert expected == read(data)
    for hostile in ("!!python/name:os.system x", "&a x", "[" * 20_000, "{<<: {a: b}}"):
        with pytest.raises(CassetteDamaged):
            read(stock(good("a"), f"- request:\n    body: {hostile}\n"))
