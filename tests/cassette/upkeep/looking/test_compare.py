"""What differs between two requests is named in full, in words, and nothing else is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmbatch.call.values import Call, Reply
from llmbatch.cassette.store import Store
from llmbatch.cassette.upkeep.looking.compare import differences, reply_differences
from llmbatch.cassette.upkeep.looking.difference import Difference, is_elsewhere

URL = "https://api.example.com/v1/chat/completions"
JSON = {"content-type": "application/json"}
STORE = Store(Path("nowhere"), key_headers=["x-tenant"])  # never opened: it makes requests and keys only
BODY: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "Be brief.\nBe kind.\nBe right."},
        {"role": "user", "content": "one\ntwo"},
    ],
    "temperature": 0.0,
    "response_format": {"json_schema": {"schema": {"properties": {"reason": {"type": "string"}}}}},
}


def call_of(
    body: object = BODY, url: str = URL, headers: dict[str, str] = JSON, repeat: int = 0, draw: int = 0
) -> Call:
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return STORE.call(STORE.request("POST", url, headers, encoded), repeat, draw)


def said(after: Call) -> list[str]:
    return [str(each) for each in differences(call_of(), after)]


def with_messages(*contents: str, roles: tuple[str, ...] = ("system", "user", "assistant", "user")) -> dict[str, Any]:
    return {**BODY, "messages": [{"role": r, "content": c} for r, c in zip(roles, contents, strict=False)]}


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (call_of({**BODY, "temperature": 0.7}), ["temperature: 0.0 -> 0.7"]),
        (call_of({**BODY, "temperature": 0}), ["temperature: 0.0 -> 0"]),
        (call_of({**BODY, "model": "n"}), ['model: "m" -> "n"']),
        (call_of({**BODY, "seed": 1}), ["seed: added 1"]),
        (call_of({name: BODY[name] for name in BODY if name != "temperature"}), ["temperature: removed 0.0"]),
        (call_of(url=URL.replace("api.", "eu.")), ["host: api.example.com -> eu.example.com"]),
        (call_of(url=URL + "?a=1"), ["query:  -> a=1"]),
        (call_of(repeat=2), ["repeat: 0 -> 2"]),
        (call_of(draw=1), ["ordinal: 0 -> 1"]),
        (call_of(headers={**JSON, "x-tenant": "b"}), ['header x-tenant: added "b"']),
        (
            call_of(with_messages("Be brief.\nBe kind.\nBe quick.", "one\ntwo")),
            ['system prompt, line 3: "Be right." -> "Be quick."'],
        ),
        (
            call_of(with_messages("Be brief.\nBe right.", "one\ntwo")),
            ['system prompt, line 2: removed "Be kind."'],
        ),
        (
            call_of(with_messages("Be brief.\nBe kind.\nBe right.", "one\ntwo\nthree")),
            ['user message, line 3: added "three"'],
        ),
        (
            call_of(with_messages("Be brief.\nBe kind.\nBe right.", "one\ntwo", "Yes.", "Why?")),
            ['message 3 (assistant): added "Yes."', 'message 4 (user): added "Why?"'],
        ),
        (
            call_of(
                {
                    **BODY,
                    "response_format": {
                        "json_schema": {
                            "schema": {"properties": {"reason": {"type": "string"}, "category": {"type": "string"}}}
                        }
                    },
                }
            ),
            ['response_format.json_schema.schema.properties.category: added {"type":"string"}'],
        ),
    ],
)
def test_a_difference_is_named_where_a_person_looks_for_it(after: Call, words: list[str]) -> None:
    """In the words of prompts and parameters, one line a difference."""
    assert words == said(after)


def test_the_order_of_members_below_the_top_level_is_a_difference() -> None:
    """It steers generation, and is in the key; at the top level it is neither."""
    one, other = call_of({"a": {"x": 1, "y": 2}, "b": 1}), call_of({"b": 1, "a": {"y": 2, "x": 1}})

    assert ["a, order of members: x, y -> y, x"] == [str(each) for each in differences(one, other)]


def test_a_long_line_is_shown_around_the_place_where_it_changes() -> None:
    """The first sixty characters of two long lines are mostly the same."""
    one, other = "x" * 500 + "before" + "y" * 500, "x" * 500 + "after" + "y" * 500

    text = str(Difference("user message", None, one, other, is_text=True))

    assert "before" in text
    assert "after" in text
    assert len(text) < 160


def test_texts_of_many_lines_are_compared_in_bounded_time() -> None:
    """Two texts that share nothing would take the square of their lines."""
    one = {**BODY, "messages": [{"role": "user", "content": "\n".join(f"a{n}" for n in range(20_000))}]}
    other = {**BODY, "messages": [{"role": "user", "content": "\n".join(f"b{n}" for n in range(20_000))}]}

    assert 20_000 == len(list(differences(call_of(one), call_of(other))))


def test_only_another_address_is_told_apart() -> None:
    """That is what an alias is for."""
    moved = call_of(url="http://127.0.0.1:8080/openai/v1/chat/completions")
    changed = call_of({**BODY, "model": "n"}, url="http://127.0.0.1:8080/v1/chat/completions")

    assert is_elsewhere(list(differences(call_of(), moved)))
    assert not is_elsewhere(list(differences(call_of(), changed)))
    assert not is_elsewhere([])


def test_replies_differ_by_status_and_body() -> None:
    """Times and headers are not what a person compares."""
    one = Reply(200, "OK", {}, b'{"a":"x\\ny"}', "2026-01-01", 1)
    other = Reply(400, "Bad", {}, b'{"a":"x\\nz"}', "2026-01-02", 2)

    assert ["status: 200 -> 400", 'reply.a, line 2: "y" -> "z"'] == [
        str(each) for each in reply_differences(one, other)
    ]
    assert [] == list(reply_differences(one, replace(one, recorded_at="later")))


names = st.sampled_from(["model", "messages", "role", "content", "a", "b"])
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.just("a\nb"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
turns = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "tool"]), "content": values}), max_size=3
)
documents = st.fixed_dictionaries({}, optional={"model": values, "messages": turns | values, "a": values, "b": values})
bodies = documents | values | st.binary(max_size=8) | st.sampled_from([b'{"a":NaN}', b'{"a": NaN}', b'{"a":1,"a":1}'])
urls = st.sampled_from(
    [URL, URL + "?", URL + "#x", URL.upper(), "https://api.example.com:443/v1/chat/completions", "x"]
)
calls = st.builds(
    call_of,
    bodies,
    urls,
    st.sampled_from([JSON, {}, {**JSON, "x-tenant": "a"}, {**JSON, "x-tenant": ""}]),
    st.integers(0, 1),
    st.integers(0, 1),
)


@given(calls, calls)
def test_two_calls_have_no_difference_exactly_when_they_have_one_key(one: Call, other: Call) -> None:
    """A miss without a reason would be one that nobody can explain; a reason without a miss a false one."""
    assert (one.key == other.key) == ([] == list(differences(one, other)))


@given(documents)
def test_a_body_has_no_difference_to_itself_written_otherwise(document: dict[str, Any]) -> None:
    """White space and the order of top-level members are no difference."""
    one = call_of(json.dumps(document).encode())
    other = call_of(json.dumps(dict(reversed(document.items())), indent=1).encode())

    assert one.key == other.key
    assert [] == list(differences(one, other))


def test_a_body_nested_beyond_measure_is_compared_as_bytes() -> None:
    """A cassette of a stranger may hold anything."""
    deep = b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}"

    assert 1 == len(list(differences(call_of(deep), call_of(deep.replace(b'"a"', b'"b"')))))
