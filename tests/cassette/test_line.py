"""A line holds any bytes, and YAML reads it as our own reader does."""

from __future__ import annotations

from typing import Any

import pytest
import vcr.serialize
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from vcr.serializers import yamlserializer

from llmbatch.call.key import call_key
from llmbatch.call.values import Call, Reply, Request
from llmbatch.cassette.line import BadLineError, decode, decode_reply, encode, frame, with_crc
from llmbatch.cassette.segment import Metadata, header_bytes

NASTY = [
    "\x7f",
    "\x80",
    "\x85",
    "\x9f",
    "\u2028",
    " \u2029 ",
    "\ufeff",
    "\ufffe",
    "\uffff",
    "\x00",
    "\r\n",
    "\U0001f600",
    "\U0010ffff",
    '"string":!!binary "',
    ',"body":!!binary "',
    ',"request":{"method":',
    ',"response":{"status":',
    ',"response":null}',
    "\\ud83d\\ude00",
    " # crc32=00000000",
    "- &a *a !!python/object/apply:os.system [x]",
    "<<: null ~ yes 1e5",
]
texts = st.lists(st.sampled_from(NASTY) | st.text(st.characters(codec="utf-8"), max_size=8), max_size=6).map("".join)
bodies = texts.map(str.encode) | st.binary(max_size=40)
headers = st.dictionaries(
    st.sampled_from(["content-type", "request-id", "body", "response", "x-ratelimit-é"]),
    st.lists(texts, min_size=1, max_size=2).map(tuple),
    max_size=3,
)
requests = st.builds(
    Request,
    method=st.sampled_from(["GET", "POST"]),
    url=texts.map("https://host/".__add__),
    headers=headers,
    body=st.none() | bodies,
    digest=st.just(b""),
)
calls = st.builds(
    Call,
    request=requests,
    repeat=st.integers(0, 2**40),
    ordinal=st.integers(0, 5),
    key=st.binary(min_size=16, max_size=16),
)
replies = st.builds(
    Reply,
    status=st.integers(100, 599),
    reason=texts,
    headers=headers,
    body=bodies,
    recorded_at=st.just("2026-01-02T03:04:05.000006Z"),
    taken_us=st.integers(0, 2**40),
)


def as_bytes(body: Any) -> bytes | None:
    return body.encode() if isinstance(body, str) else body


@given(calls, replies, st.none() | texts, st.integers(0, 9))
def test_any_interaction_comes_back_from_its_line(call: Call, reply: Reply, case: str | None, generation: int) -> None:
    """Bodies, headers and texts of any content; always one physical line."""
    line = encode(call, reply, generation=generation, case=case)
    found = decode(line)

    assert line.count(b"\n") == 1
    assert (call, reply, generation, case) == (found.call, found.reply, found.generation, found.case)
    assert (found.kind, found.message) == (None, None)
    assert reply == decode_reply(line)
    assert (call.key, generation) == frame(line)


@given(calls, st.none() | replies, texts, texts)
def test_any_failure_comes_back_from_its_line(call: Call, reply: Reply | None, kind: str, message: str) -> None:
    """A failure has a kind and a message, and may have no reply."""
    found = decode(encode(call, reply, generation=0, case=None, failure=(kind, message)))

    assert (call, reply, kind, message) == (found.call, found.reply, found.kind, found.message)


def check_with_yaml(text: str, loaded: Any, call: Call, reply: Reply) -> None:
    (interaction,) = loaded["interactions"]
    request, response = interaction["request"], interaction["response"]

    assert call.request.url == request["uri"]
    assert call.request.body == as_bytes(request["body"])
    assert dict(call.request.headers) == {name: tuple(values) for name, values in request["headers"].items()}
    assert (reply.status, reply.reason) == (response["status"]["code"], response["status"]["message"])
    assert reply.body == as_bytes(response["body"]["string"])
    assert dict(reply.headers) == {name: tuple(values) for name, values in response["headers"].items()}


@given(calls, replies)
@settings(max_examples=150, deadline=None)
def test_the_fast_yaml_loader_reads_what_we_wrote(call: Call, reply: Reply) -> None:
    """libyaml, which stock vcrpy uses where it is there."""
    text = (header_bytes(Metadata()) + encode(call, reply, generation=0, case=None)).decode()
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    check_with_yaml(text, yaml.load(text, Loader=loader), call, reply)


@given(calls, replies)
@settings(max_examples=25, deadline=None)
def test_the_pure_yaml_loader_reads_what_we_wrote(call: Call, reply: Reply) -> None:
    """The fallback, which differs from libyaml on surrogates and some controls."""
    text = (header_bytes(Metadata()) + encode(call, reply, generation=0, case=None)).decode()

    check_with_yaml(text, yaml.load(text, Loader=yaml.SafeLoader), call, reply)


@given(calls, replies)
@settings(max_examples=100, deadline=None)
def test_stock_vcrpy_reads_what_we_wrote(call: Call, reply: Reply) -> None:
    """Its own deserialiser gives the same request and the same response."""
    text = (header_bytes(Metadata()) + encode(call, reply, generation=0, case=None)).decode()
    (request,), (response,), _metadata = vcr.serialize.deserialize(text, yamlserializer)

    assert (call.request.method, call.request.url) == (request.method, request.uri)
    assert call.request.body == as_bytes(request.body)
    assert reply.status == response["status"]["code"]
    assert reply.body == as_bytes(response["body"]["string"])


CALL = Call(Request("POST", "https://h/v1", {}, b"{}", b""), 0, 0, call_key(b"0" * 16, 0, 0))
LINE = encode(CALL, Reply(200, "OK", {}, b"hello"), generation=0, case="c")


def test_any_changed_byte_of_a_line_is_noticed() -> None:
    """The checksum is compared as bytes: a change of case in it is a change."""
    for at in range(len(LINE)):
        for flip in (0x01, 0x20):
            changed = bytearray(LINE)
            changed[at] ^= flip
            with pytest.raises(BadLineError):
                decode_reply(bytes(changed))


@pytest.mark.parametrize("cut", [0, 1, 20, 60, len(LINE) - 1])
def test_a_part_of_a_line_is_no_line(cut: int) -> None:
    """The frame is looked at without a parse, and says no to anything shorter."""
    with pytest.raises(BadLineError):
        frame(LINE[:cut])


def test_a_key_with_white_space_is_no_key() -> None:
    """`bytes.fromhex` would skip it and give a shorter key."""
    with pytest.raises(BadLineError, match="32 hexadecimal"):
        frame(LINE[:10] + b"  " + LINE[12:])


def test_a_line_that_is_no_utf_8_is_a_bad_line() -> None:
    """A checksum says nothing of who wrote a line: a reader in C is as strict as the rest."""
    good = encode(CALL, Reply(200, "OK", {}, b"x", "2026-01-01T00:00:00Z", 1), generation=0, case=None)
    payload = good[2 : good.rindex(b" # crc32=")].replace(b"2026-01", b"2026\x8d01")

    with pytest.raises(BadLineError, match="not the JSON"):
        decode_reply(with_crc(b"- ", payload))
