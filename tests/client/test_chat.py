"""The bytes of a request. They become its key, so they are pinned."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmbatch.client.chat import Envelope, resolve_parameters
from llmbatch.errors import TaskError


@pytest.mark.parametrize(
    ("defaults", "options", "expected"),
    [
        ({}, {}, {"temperature": 0.0, "top_p": 0.001, "max_tokens": 500}),
        ({}, {"temperature": 1}, {"temperature": 1.0, "top_p": 1.0, "max_tokens": 500}),
        ({}, {"temperature": 1, "top_p": 0.5}, {"temperature": 1.0, "top_p": 0.5, "max_tokens": 500}),
        ({"temperature": 0.7}, {}, {"temperature": 0.7, "top_p": 1.0, "max_tokens": 500}),
        ({"temperature": 0.7}, {"temperature": 0}, {"temperature": 0.0, "top_p": 0.001, "max_tokens": 500}),
        ({"top_p": None, "temperature": None}, {}, {"max_tokens": 500}),
        ({}, {"temperature": None}, {"top_p": 0.001, "max_tokens": 500}),
        ({"max_completion_tokens": 9}, {}, {"temperature": 0.0, "top_p": 0.001, "max_completion_tokens": 9}),
        ({"seed": 1}, {"seed": 2, "max_tokens": 7}, {"temperature": 0.0, "top_p": 0.001, "max_tokens": 7, "seed": 2}),
    ],
)
def test_the_asks_options_override_the_endpoints_and_those_the_built_in(
    defaults: dict[str, Any], options: dict[str, Any], expected: dict[str, Any]
) -> None:
    """None takes a parameter out; a temperature that is asked for is not undone by the built-in top_p."""
    assert expected == resolve_parameters(defaults, options)


@pytest.mark.parametrize(
    "options", [{"temperature": float("nan")}, {"top_p": "1"}, {"temperature": True}, {"model": "x"}]
)
def test_a_value_that_no_service_takes_is_refused_before_it_is_sent(options: dict[str, Any]) -> None:
    """NaN would be sent as null."""
    with pytest.raises(TaskError):
        resolve_parameters({}, options)


def test_the_bytes_of_a_request_never_change() -> None:
    """A library upgrade that moves one byte would make every recorded answer a miss."""
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Grüße 🙂"}]
    envelope = Envelope("m", resolve_parameters({}, {"seed": 3}), {"response_format": {"type": "json_object"}})
    body = envelope.around(messages).wire

    expected = (
        '{"model":"m","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Grüße 🙂"}],'
        '"response_format":{"type":"json_object"},"temperature":0.0,"top_p":0.001,"max_tokens":500,"seed":3}'
    )
    assert expected.encode() == body


def test_a_lone_surrogate_in_a_sample_can_be_sent() -> None:
    """JSON allows what UTF-8 does not; a line of a data set may hold one."""
    body = Envelope("m", {}).around([{"role": "user", "content": "a\ud800b"}]).wire

    assert json.loads(body)["messages"][0]["content"] == "a\ud800b"


def test_a_value_without_a_json_form_is_the_authors_error() -> None:
    """And names what orjson could not write."""
    with pytest.raises(TaskError, match="no JSON form"):
        Envelope("m", {"stop": object()}).around([])
