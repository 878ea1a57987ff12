"""A secret that was recorded is in no byte of the scrubbed cassette, in no form, and the rest is as it was."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmbatch.call.values import Reply
from llmbatch.cassette.line import Decoded
from llmbatch.cassette.scrub import secret_forms
from llmbatch.cassette.segment import Metadata
from llmbatch.cassette.store import Store
from llmbatch.cassette.upkeep.remaking.arranging import Conflict
from llmbatch.cassette.upkeep.remaking.merge import merge
from llmbatch.cassette.upkeep.remaking.scrubbing import Scrubbing, scrubbing_of
from llmbatch.errors import UsageError
from tests.support.lines import answer, call_of, failure, files_of, write

SECRET = "canary/0123+456789=é"
JSON = {"content-type": "application/json"}


def scrub(source: Path, target: Path, scrubbing: Scrubbing) -> list[Conflict]:
    conflicts: list[Conflict] = []
    merge([source], target, conflicts.append, rewriting=scrubbing)
    with Store(target) as store:
        assert [] == store.verify()
    return conflicts


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def test_a_secret_is_gone_from_every_member_in_every_form(tmp_path: Path) -> None:
    """URL, key header, bodies, reason, reply headers, message, case, metadata; plain, URL, JSON, base64."""
    source = tmp_path / "source"
    nested = json.dumps({"echo": json.dumps({"deep": SECRET})}).encode()
    basic = base64.b64encode(f"user:{SECRET}".encode())
    metadata = Metadata(
        endpoints={SECRET: f"https://h/{quote(SECRET, safe='')}"},
        prices={f"a/{SECRET}": {"x": "0.15"}},
        models={f"a/{SECRET}": SECRET},
    )
    with Store(source, record_mode="new_episodes", metadata=metadata, key_headers=["x-team"]) as store:
        request = store.request(
            "POST", f"https://h/{quote(SECRET, safe='')}?q={SECRET}", {"x-team": SECRET, **JSON}, nested
        )
        reply = Reply(200, SECRET, {"x-request-id": (SECRET,)}, b"\xff" + basic + SECRET.encode())
        store.record(store.call(request, 0, 0), reply, case=f"task[{SECRET}]::1")
        store.record_failure(store.call(request, 1, 0), "timeout", f"no byte, {SECRET}")
    scrubbing = Scrubbing([SECRET])
    scrub(source, tmp_path / "target", scrubbing)

    text = everything(tmp_path / "target")
    assert [] == [form for form in secret_forms(SECRET) if form.encode() in text]
    # answer: path, query, header, body, reason, id, case, 2 in the reply; failure: path, query, header, body, message
    assert (14, 2) == (scrubbing.places, scrubbing.lines)
    assert SECRET.encode() in everything(source)


def test_a_run_that_knows_the_secret_finds_the_scrubbed_request(tmp_path: Path) -> None:
    """The new key is the one that recording would have given."""
    body = json.dumps({"model": "m", "key": SECRET}).encode()
    with Store(tmp_path / "source", record_mode="new_episodes", key_headers=["x-team"]) as store:
        request = store.request("POST", "https://h/v1", {"x-team": SECRET, **JSON}, body)
        store.record(store.call(request, 2, 1), Reply(200, "OK", {}, b"found"))
    scrub(tmp_path / "source", tmp_path / "target", Scrubbing([SECRET]))

    with Store(tmp_path / "target", secrets=[SECRET], key_headers=["x-team"]) as store:
        request = store.request("POST", "https://h/v1", {"x-team": SECRET, **JSON}, body)
        reply = store.find(store.call(request, 2, 1).key)
        assert reply is not None
        assert b"found" == reply.body


def test_lines_without_the_secret_stay_as_they_were(tmp_path: Path) -> None:
    """What is scrubbed of nothing is what merge makes of it."""
    source = write(
        tmp_path / "source", [answer(1), answer(2, "\x85\u2028é"), failure(3, "x", at="2026-01-01T00:00:00Z")]
    )
    scrubbing = Scrubbing([SECRET], [re.compile("nowhere")])
    scrub(source, tmp_path / "scrubbed", scrubbing)
    merge([source], tmp_path / "merged", print)

    assert files_of(tmp_path / "merged") == files_of(tmp_path / "scrubbed")
    assert (0, 0) == (scrubbing.places, scrubbing.lines)


def test_a_pattern_is_replaced_in_texts_and_in_bytes(tmp_path: Path) -> None:
    """As they were recorded; every other byte stays."""
    body = b'{"model":"m","user":"ann@example.org","n":[1.50]}'
    with Store(tmp_path / "source", record_mode="new_episodes") as store:
        call = store.call(store.request("POST", "https://h/v1?u=bob@example.org", JSON, body), 0, 0)
        store.record(call, Reply(200, "OK", {}, b"\xff\xfe eve@example.org \x00"))
    scrubbing = Scrubbing([], [re.compile(r"\w+@example\.org")])
    scrub(tmp_path / "source", tmp_path / "target", scrubbing)

    with Store(tmp_path / "target") as store:
        (found,) = list(store)
    assert b'{"model":"m","user":"<secret>","n":[1.50]}' == found.call.request.body
    assert "https://h/v1?u=<secret>" == found.call.request.url
    assert b"\xff\xfe <secret> \x00" == found.reply.body
    assert (3, 1) == (scrubbing.places, scrubbing.lines)


def test_two_calls_that_become_one_are_a_conflict(tmp_path: Path) -> None:
    """Both answers are kept: one answers, the other is a duplicate."""
    with Store(tmp_path / "source", record_mode="new_episodes") as store:
        for name in ("ann", "bob"):
            call = store.call(store.request("POST", "https://h/v1", JSON, f'{{"user":"{name}"}}'.encode()), 0, 0)
            store.record(call, Reply(200, "OK", {}, f"hello {name}!".encode()))
    (conflict,) = scrub(tmp_path / "source", tmp_path / "target", Scrubbing([], [re.compile('(?<=")(ann|bob)(?=")')]))

    with Store(tmp_path / "target") as store:
        (found,) = list(store)
        (other,) = list(store.failures())
    assert other.reply is not None
    assert {b"hello ann!", b"hello bob!"} == {found.reply.body, other.reply.body}
    assert (found.call.key.hex(), "duplicate") == (conflict.key, other.kind)
    assert found.call.key not in {call_of(number).key for number in range(4)}


@given(st.text(min_size=16, max_size=24), st.binary(max_size=6), st.binary(max_size=6))
def test_any_secret_is_taken_out_of_any_body(secret: str, before: bytes, after: bytes) -> None:
    """Characters that JSON or URLs escape make no difference."""
    raw = secret.encode("utf-8", "surrogatepass")
    found = call_of(1)
    body = before + raw + after
    scrubbing = Scrubbing([secret])
    line = Decoded(found, Reply(200, "OK", {}, body), 0, None, None, None)
    after_scrubbing = scrubbing.line(line)
    scrubbing.gathered(line, after_scrubbing)

    assert after_scrubbing.reply is not None
    assert raw not in after_scrubbing.reply.body
    assert scrubbing.places >= 0


@pytest.mark.parametrize(
    ("variables", "patterns", "said"),
    [
        ([], [], "nothing says"),
        (["MISSING"], [], "MISSING is not set"),
        (["SHORT"], [], "SHORT has 5 characters"),
        ([], ["("], "no regular expression"),
        ([], ["x*"], "matches nothing at all"),
    ],
)
def test_what_cannot_be_scrubbed_is_said(variables: list[str], patterns: list[str], said: str) -> None:
    """Silence would be taken for success; the value of a variable is never shown."""
    with pytest.raises(UsageError, match=said) as caught:
        scrubbing_of(variables, patterns, {"SHORT": "abcde", "LONG": "x" * 16})
    assert "abcde" not in str(caught.value)
    assert "fix" in caught.value.details
