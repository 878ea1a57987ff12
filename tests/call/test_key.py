"""The key moves with everything that can change an answer, and with nothing else."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmbatch.call.key import call_key, canonical_body, request_digest
from llmbatch.call.values import Headers

URL = "https://api.example.com/v1/chat/completions"
BODY = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"temperature":0.0}'


def digest(
    method: str = "POST",
    url: str = URL,
    body: bytes | None = BODY,
    content_type: str | None = "application/json",
    headers: Headers | None = None,
) -> bytes:
    return request_digest(method, url, canonical_body(body, content_type), headers or {})


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
json_objects = st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), json_values, max_size=6)


@pytest.mark.parametrize(
    "changed",
    [
        {"method": "PUT"},
        {"url": "http://api.example.com/v1/chat/completions"},
        {"url": "https://api.example.org/v1/chat/completions"},
        {"url": "https://api.example.com:8443/v1/chat/completions"},
        {"url": "https://api.example.com/v1/completions"},
        {"url": "https://api.example.com/v1/Chat/completions"},
        {"url": URL + "?"},
        {"url": URL + "?api-version=1"},
        {"body": BODY.replace(b'"m"', b'"n"')},
        {"body": BODY.replace(b"hi", b"ho")},
        {"body": BODY.replace(b"0.0", b"0.1")},
        {"body": BODY.replace(b"0.0", b"0")},
        {"body": BODY[:-1] + b',"seed":1}'},
        {"body": None},
        {"body": b"text"},
        {"headers": {"openai-beta": ("assistants=v2",)}},
        {"headers": {"anthropic-version": ("2023-06-01",)}},
    ],
)
def test_every_field_of_a_request_moves_the_digest(changed: dict[str, Any]) -> None:
    """Two requests that differ in one thing never share an answer."""
    assert digest() != digest(**changed)


def test_key_headers_move_the_digest_by_name_value_and_number() -> None:
    """Each header field is encoded with its length, so that no two lists look alike."""
    variants: list[dict[str, tuple[str, ...]]] = [
        {"a": ("b",)},
        {"a": ("c",)},
        {"b": ("b",)},
        {"a": ("b", "b")},
        {"a": ("b",), "b": ("b",)},
        {"a": ("b", "1:b")},
        {"ab": ("",)},
    ]

    assert len(variants) == len({digest(headers=headers) for headers in variants})


def test_the_order_of_key_headers_does_not_count() -> None:
    """Clients order headers as they like."""
    one, two = {"a": ("1",), "b": ("2",)}, {"b": ("2",), "a": ("1",)}

    assert digest(headers=one) == digest(headers=two)


@pytest.mark.parametrize(
    "same",
    [
        "HTTPS://API.Example.com/v1/chat/completions",
        "https://api.example.com:443/v1/chat/completions",
        URL + "#fragment",
    ],
)
def test_spellings_of_one_address_share_a_digest(same: str) -> None:
    """Scheme and host are lower case, the default port is explicit, a fragment is never sent."""
    assert digest() == digest(url=same)


def test_an_ipv6_address_keeps_its_port() -> None:
    """A colon inside of brackets is not the port's."""
    assert digest(url="http://[::1]:80/v1") == digest(url="http://[::1]/v1")
    assert digest(url="http://[::1]:81/v1") != digest(url="http://[::1]/v1")


def test_no_body_and_an_empty_body_are_the_same() -> None:
    """On the wire they are, and clients hand on either."""
    assert digest(body=None) == digest(body=b"")


@given(json_objects, st.randoms(use_true_random=False), st.sampled_from([None, 1, "\t"]))
def test_top_level_order_and_white_space_keep_the_canonical_body(
    value: dict[str, Any], random: Any, indent: int | str | None
) -> None:
    """Top-level members are sorted, and white space between tokens is dropped."""
    members = list(value.items())
    random.shuffle(members)
    plain = json.dumps(value).encode()
    shuffled = json.dumps(dict(members), indent=indent, ensure_ascii=False).encode()

    assert canonical_body(plain, None) == canonical_body(shuffled, None)


@given(st.dictionaries(st.text(max_size=5), st.integers(), min_size=2, max_size=5))
def test_the_order_of_nested_members_moves_the_canonical_body(value: dict[str, int]) -> None:
    """The order of a schema's properties steers what is generated."""
    there = json.dumps({"schema": value}).encode()
    back = json.dumps({"schema": dict(reversed(value.items()))}).encode()

    assert canonical_body(there, None) != canonical_body(back, None)


@given(json_objects)
def test_both_readers_give_the_same_bytes(value: dict[str, Any]) -> None:
    """A run of 19 digits anywhere takes the slow, exact reader: it must agree with the fast one."""
    text = json.dumps(value)
    marked = canonical_body(json.dumps({**value, "digits": "1" * 19}).encode(), None)
    expected = dict(sorted(json.loads(canonical_body(text.encode(), None)).items()))
    expected["digits"] = "1" * 19

    assert json.dumps(dict(sorted(expected.items()))) == json.dumps(json.loads(marked))


@given(st.integers(min_value=-(2**200), max_value=2**200))
def test_integers_of_any_size_stay_exact(number: int) -> None:
    """A seed beyond 64 bits is not rounded to a float, or two seeds would share an answer."""
    assert b'{"seed":%d}' % number == canonical_body(b'{ "seed": %d }' % number, None)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_are_in_shortest_form_whichever_reader(number: float) -> None:
    """However a number is spelled, its shortest round-trip form is what counts."""
    long_form = f"{number:.30e}"
    body = f'{{"digits":"{"1" * 19}","x":{long_form}}}'.encode()

    assert b'{"digits":"%b","x":%b}' % (b"1" * 19, orjson.dumps(number)) == canonical_body(body, None)
    assert b'{"x":%b}' % orjson.dumps(number) == canonical_body(f'{{"x":{number!r}}}'.encode(), None)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1e400}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":"\\ud800"}',
        b'{"a":1,}',
        b'{"a":"\xff"}',
        b"[" * 5000 + b"]" * 5000,
        b"{}{}",
    ],
)
@pytest.mark.parametrize("digits", [b"", b"1234567890123456789"])
def test_what_is_no_plain_json_is_its_own_bytes(body: bytes, digits: bytes) -> None:
    """NaN, infinities, lone surrogates and broken text must not become null or something equal."""
    spaced = b" " + body.replace(b'"a":', b'"b":"' + digits + b'","a":') if digits else body

    assert spaced == canonical_body(spaced, "application/json")


def multipart(boundary: bytes, *parts: bytes) -> bytes:
    return b"".join(b"--" + boundary + b"\r\n\r\n" + part + b"\r\n" for part in parts) + b"--" + boundary + b"--"


def test_a_multipart_boundary_does_not_count() -> None:
    """Clients draw it at random for each request."""
    one = canonical_body(multipart(b"abc", b"x", b"y"), "multipart/form-data; boundary=abc")
    two = canonical_body(multipart(b"q'(r)", b"x", b"y"), 'multipart/form-data; boundary="q\'(r)"')

    assert one == two


def test_the_parts_of_a_multipart_body_do_count() -> None:
    """Parts are encoded with their lengths: text that looks like a boundary stays text."""
    bodies = [
        multipart(b"abc", b"x", b"y"),
        multipart(b"abc", b"x", b"z"),
        multipart(b"abc", b"x\r\n--other\r\n\r\ny"),
        multipart(b"abc", b"xy"),
    ]

    assert len(bodies) == len({canonical_body(body, "multipart/form-data; boundary=abc") for body in bodies})


def test_draws_of_a_request_have_keys_of_their_own() -> None:
    """Repeat and ordinal are apart: (1, 11) is not (11, 1)."""
    one = digest()
    draws = [(0, 0), (0, 1), (1, 0), (1, 11), (11, 1), (111, 0)]

    assert len(draws) == len({call_key(one, *draw) for draw in draws})
    assert call_key(one, 0, 0) not in (one, call_key(digest(method="GET"), 0, 0))


def test_the_key_of_a_known_request_does_not_move() -> None:
    """Cassettes outlive releases: whoever moves this must raise KEY_VERSION."""
    assert call_key(digest(), 0, 0).hex() == "ce3ded13685992ee15f5871e80da2474"
