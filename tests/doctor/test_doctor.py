"""`llmbatch doctor` finds nothing where nothing is wrong, and finds it where something is."""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmbatch.call.key import call_key, canonical_body, request_digest
from llmbatch.call.values import Reply
from llmbatch.cassette import address as address_module
from llmbatch.cassette import store as store_module
from llmbatch.cassette.store import Store
from llmbatch.cli import main
from llmbatch.doctor import key_moves, key_stays
from llmbatch.doctor.examination import examine
from llmbatch.doctor.example import TYPICAL, Example

SHIPPED = Path(__file__).parents[2] / "cassettes" / "commit_classify"


def test_nothing_is_wrong_here(capsys: pytest.CaptureFixture[str]) -> None:
    """The same check in CI and at users'; what is at work is named for a report."""
    code = main(["doctor"])
    lines = capsys.readouterr().out.splitlines()

    assert 0 == code
    assert ["ok"] * len(lines) == [line.split()[0] for line in lines]
    assert all(name in lines[0] for name in ("Python 3.", "llmbatch ", "vcrpy ", "openai ", "pydantic "))


def test_the_shipped_cassette_is_examined_by_address(capsys: pytest.CaptureFixture[str]) -> None:
    """One request of each of its two endpoints, and all of its keys."""
    code = main(["doctor", "--cassette", str(SHIPPED)])
    lines = capsys.readouterr().out.splitlines()

    assert 0 == code
    assert 2 == sum(line.startswith("ok      key moves") for line in lines)
    assert lines[-1].startswith("ok      recorded keys  528 answers")


# every part that a key must cover, each taken out of it in turn ----------------------------------------------


def ignoring_in_the_url(part: str, other: str) -> Callable[..., bytes]:
    return lambda method, url, canonical, headers: request_digest(method, url.replace(part, other), canonical, headers)


def sorted_throughout(body: bytes | None, content_type: str | None) -> bytes:
    canonical = canonical_body(body, content_type)
    try:
        return json.dumps(json.loads(canonical), sort_keys=True).encode()
    except ValueError:
        return canonical


def without(member: str) -> Callable[[bytes | None, str | None], bytes]:
    def canonical(body: bytes | None, content_type: str | None) -> bytes:
        try:
            return json.dumps(
                {name: value for name, value in json.loads(body or b"").items() if name != member}
            ).encode()
        except ValueError:
            return body or b""

    return canonical


WRONG: dict[str, tuple[str, Callable[..., bytes], str]] = {
    "method": ("request_digest", lambda m, u, c, h: request_digest("GET", u, c, h), "another method has the same key"),
    "url": ("request_digest", lambda m, u, c, h: request_digest(m, "", c, h), "another query has the same key"),
    "host": ("request_digest", ignoring_in_the_url("xapi", "api"), "another host has the same key"),
    "scheme": ("request_digest", ignoring_in_the_url("http:", "https:"), "another scheme has the same key"),
    "headers": ("request_digest", lambda m, u, c, h: request_digest(m, u, c, {}), "another header x-route"),
    "body": ("canonical_body", lambda body, kind: b"", "another `model` has the same key"),
    "a member": ("canonical_body", without("temperature"), "another `temperature` has the same key"),
    "order": ("canonical_body", sorted_throughout, "another order inside `response_format` has the same key"),
    "white space": ("canonical_body", lambda body, kind: body or b"", "another white space has another key"),
    "repeat": ("call_key", lambda digest, repeat, ordinal: call_key(digest, 0, ordinal), "another repeat has the same"),
    "ordinal": ("call_key", lambda digest, repeat, ordinal: call_key(digest, repeat, 0), "another ordinal has"),
}  # fmt: skip


def digests_by(digest: Callable[..., bytes]) -> Callable[..., object]:
    """Return what stands for `Digests`, with another function of the same arguments behind it."""
    return lambda method, url, headers: SimpleNamespace(of=lambda canonical: digest(method, url, canonical, headers))


@pytest.mark.parametrize("name", WRONG)
def test_a_key_that_leaves_something_out_is_found(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A self-test that cannot fail proves nothing: each part is taken out of the key, and found missing."""
    place, function, problem = WRONG[name]
    if place == "request_digest":
        monkeypatch.setattr(address_module, "Digests", digests_by(function))
    else:
        monkeypatch.setattr(store_module if place == "call_key" else address_module, place, function)
    code = main(["doctor"])
    out = capsys.readouterr().out

    assert 3 == code
    assert problem in out
    assert "FAILED  key" in out
    assert "This is a bug of llmbatch" in out


def test_a_line_whose_key_is_not_its_requests_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its checksum is right: a stored key is never proof. Not our bug, so another exit code."""
    shutil.copytree(SHIPPED, tmp_path / "tape")
    segment = tmp_path / "tape" / "segment-00001.yaml"
    lines = segment.read_bytes().splitlines(keepends=True)
    payload = lines[3][2:-18].replace(lines[3][10:42], b"0" * 32, 1)
    lines[3] = b"- %b # crc32=%08x\n" % (payload, zlib.crc32(payload))
    segment.write_bytes(b"".join(lines))
    code = main(["doctor", "--cassette", str(tmp_path / "tape")])

    assert 1 == code
    assert "is not the key of the request recorded with it" in capsys.readouterr().out


# whatever is recorded ----------------------------------------------------------------------------------------


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
bodies = (
    st.binary(max_size=20)
    | st.dictionaries(st.text(max_size=4), json_values, max_size=4).map(lambda value: json.dumps(value).encode())
    | json_values.map(lambda value: json.dumps(value).encode())
    | st.sampled_from([b'{"a":1,"a":2}', b'{"a":1e400}', b'{"a":' + b"9" * 5000 + b"}", b"--b\r\n\r\nx\r\n--b--"])
)
content_types = st.sampled_from(
    [{}, {"content-type": ("application/json",)}, {"content-type": ("multipart/x; boundary=b",)}]
)
urls = st.sampled_from(["http://h/", "http://h", "https://h:1/a?b=c", "http://[::1]:80/v1", "http://h/<secret>?q", "x"])


@settings(max_examples=200)
@given(st.sampled_from(["GET", "POST"]), urls, content_types, bodies)
def test_no_request_is_called_wrong_whose_key_is_right(
    method: str, url: str, headers: dict[str, tuple[str, ...]], body: bytes
) -> None:
    """Foreign HTTP may send anything: numbers beyond 64 bits, NaN, half a JSON, bytes."""
    example = Example(method, url, headers, body)

    assert [] == [what for what, changed in key_moves.changes_of(example) if changed.key == example.key]
    assert [] == [what for what, spelled in key_stays.spellings_of(example) if spelled.key != example.key]


def test_a_cassette_of_foreign_requests_is_examined(tmp_path: Path) -> None:
    """Without a body, binary, multipart."""
    with Store(tmp_path, record_mode="new_episodes") as store:
        for number, body in enumerate([None, b"\xff\xfe", b"--b\r\n\r\nx\r\n--b--", b"[1]"]):
            headers = {"content-type": "multipart/form-data; boundary=b"} if number == 2 else {}
            call = store.call(store.request("GET", f"http://h/{number}", headers, body), 1, 2)
            store.record(call, Reply(200, "OK", {}, b"x"))
    findings = list(examine(tmp_path))

    assert [] == [finding for finding in findings if not finding.ok]
    assert 4 == sum(finding.check == "key moves" for finding in findings)


def test_the_typical_request_has_every_part() -> None:
    """What it lacked would not be checked where no cassette is given."""
    parts = {what for what, _ in key_moves.changes_of(TYPICAL)}
    spellings = {what for what, _ in key_stays.spellings_of(TYPICAL)}

    assert {
        "method",
        "scheme",
        "host",
        "port",
        "path",
        "query",
        "header x-route",
        "`seed`",
        "repeat",
        "ordinal",
    } <= parts
    assert {"value inside `response_format`", "order inside `response_format`", "member", "body"} <= parts
    assert {"white space", "order of members", "credential headers", "secret parameters", "fragment"} <= spellings
