"""A probe comes to its end whatever a service says: no reply of any form raises."""

from __future__ import annotations

import itertools
from typing import Any

import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmbatch.call.values import Reply
from llmbatch.capability.questions import Question
from llmbatch.capability.words import rows, summary
from tests.capability.scripted import ALL, Service, found_by

WORDS = st.sampled_from(
    ["message", "content", "logprobs", "choices", "usage", "token", "top_logprobs", "error", "param"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def replies(draw: st.DrawFn) -> Any:
    """Return what makes a reply of a good one: nothing, other bytes, or one value in it that is another."""
    kind = draw(st.sampled_from(["good", "none", "bytes", "value"]))
    path = draw(st.lists(st.integers(0, 3), min_size=1, max_size=5))
    return kind, draw(st.binary(max_size=12)), draw(st.sampled_from([200, 400, 404, 422, 500])), path, draw(VALUES)


def spoilt(document: Any, path: list[int], value: Any) -> Any:
    """Return a document in which what the path leads to is another value."""
    if not path or not isinstance(document, dict | list) or not document:
        return value
    if isinstance(document, list):
        place = path[0] % len(document)
        return [spoilt(each, path[1:], value) if at == place else each for at, each in enumerate(document)]
    name = list(document)[path[0] % len(document)]
    return {**document, name: spoilt(document[name], path[1:], value)}


@settings(max_examples=60, deadline=None)
@given(spoils=st.lists(replies(), min_size=3, max_size=12))
@example(
    spoils=[*[("good", b"", 200, [0], None)] * 4, ("value", b"", 200, [1, 0, 3, 0, 0], None)]
)  # a null for a token
def test_a_probe_comes_to_facts_whatever_is_replied(spoils: list[Any]) -> None:
    """And says them in words."""
    service, asked = Service(ALL), itertools.count()

    def spoilt_reply(question: Question) -> Reply | None:
        kind, junk, status, path, value = spoils[next(asked) % len(spoils)]
        reply = service.reply(question)
        assert reply is not None
        if kind == "bytes":
            return Reply(status, "", reply.headers, junk)
        if kind == "value" and reply.body[:1] == b"{":
            return Reply(200, "", reply.headers, orjson.dumps(spoilt(orjson.loads(reply.body), path, value)))
        return None if kind == "none" else reply

    found = found_by(spoilt_reply)
    assert next(asked) <= 30
    assert summary(found, "text")
    assert 11 == len(list(rows(found)))
