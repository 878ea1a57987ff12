"""Answers that travel as the arguments of the one function that was asked for."""

from __future__ import annotations

from typing import Any, Literal

import orjson
import pytest
from pydantic import BaseModel

from llmbatch.call.failure import Failure, FailureKind
from llmbatch.parse.completion import Completion, read_completion
from llmbatch.parse.shape import shape_of
from llmbatch.parse.structured import Parsed, parse_answer
from llmbatch.parse.tool_answer import answered_by_tool


class Verdict(BaseModel):
    label: Literal["a", "b"]


GOOD = '{"label":"a"}'


def call(arguments: Any, name: str = "Verdict") -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}


def reply(content: Any, *calls: dict[str, Any], finish_reason: str = "tool_calls", **message: Any) -> bytes:
    said = {"role": "assistant", "content": content, **({"tool_calls": list(calls)} if calls else {}), **message}
    return orjson.dumps({"choices": [{"index": 0, "message": said, "finish_reason": finish_reason}]})


def read(body: bytes) -> Completion:
    completion = read_completion(body)
    assert isinstance(completion, Completion), completion
    return answered_by_tool(completion, "Verdict")


FORMS = {
    "arguments as text": reply(None, call(GOOD)),
    "finish_reason stop": reply(None, call(GOOD), finish_reason="stop"),
    "empty content beside it": reply("", call(GOOD)),
    "words beside it": reply("Here is my verdict.", call(GOOD)),
    "arguments as an object": reply(None, call({"label": "a"})),
    "arguments in a fence": reply(None, call(f"```json\n{GOOD}\n```")),
    "several calls": reply(None, call(GOOD), call('{"label":"b"}')),
    "a call of another function first": reply(None, call('{"city":"Rome"}', "weather"), call(GOOD)),
    "a function of another name": reply(None, call(GOOD, "functions.Verdict")),
    "a call without arguments first": reply(None, call(""), call(GOOD)),
    "plain content": reply(GOOD, finish_reason="stop"),
    "content, and a call that says nothing": reply(GOOD, call("")),
    "a call in words": reply(f'{{"name": "Verdict", "arguments": {GOOD}}}. It repairs', finish_reason="length"),
    "a call in words under another name": reply(f'{{"name": "cleanup", "arguments": {GOOD}}}', finish_reason="stop"),
    "a call in tags": reply(
        f'<tool_call>\n{{"name": "Verdict", "arguments": {GOOD}}}\n</tool_call>', finish_reason="stop"
    ),
    "a call in words with parameters": reply(f'{{"name": "Verdict", "parameters": {GOOD}}}', finish_reason="stop"),
    "a call in words with more of the definition": reply(
        f'{{"name": "Verdict", "description": "x", "parameters": {GOOD}, "required": ["label"]}}', finish_reason="stop"
    ),
    "the older form": reply(None, function_call={"name": "Verdict", "arguments": GOOD}),
    "calls that are none": reply(GOOD, "odd", {"function": None}),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("form", FORMS)
def test_an_answer_by_tool_is_read_in_every_form_that_services_give_it(form: str) -> None:
    """The arguments are the answer, and where there are none, what was said is."""
    parsed = parse_answer(shape_of(Verdict), read(FORMS[form]), "tool")

    assert isinstance(parsed, Parsed), parsed
    assert Verdict(label="a") == parsed.value


class Arguments(BaseModel):
    label: str


class Named(BaseModel):
    """A shape whose fields look like those of a call."""

    name: str
    arguments: Arguments


def test_a_shape_that_looks_like_a_call_is_not_taken_for_one() -> None:
    """Its fields are what was asked for."""
    said = f'Here: {{"name": "f", "arguments": {GOOD}}}'
    parsed = parse_answer(shape_of(Named), read(reply(said, finish_reason="stop")), "tool")

    assert isinstance(parsed, Parsed), parsed
    assert Named(name="f", arguments=Arguments(label="a")) == parsed.value


@pytest.mark.parametrize("arguments", ["", " ", None])
def test_a_call_that_says_nothing_is_an_empty_answer(arguments: str | None) -> None:
    """It is not a call in place of an answer: a call is what was asked for."""
    parsed = parse_answer(shape_of(Verdict), read(reply(None, call(arguments))), "tool")

    assert isinstance(parsed, Failure)
    assert FailureKind.EMPTY_CONTENT == parsed.kind


@pytest.mark.parametrize("arguments", ["{}", {}])
def test_arguments_without_members_lack_their_fields(arguments: Any) -> None:
    """An empty object is an answer that does not fit, whichever way it is written."""
    completion = read(reply(None, call(arguments)))
    parsed = parse_answer(shape_of(Verdict), completion, "tool")

    assert isinstance(parsed, Failure)
    assert (FailureKind.INVALID_ANSWER, "{}") == (parsed.kind, completion.text)


def test_arguments_that_were_cut_are_truncated() -> None:
    """Nothing is made up for what is not there."""
    cut = reply(None, call('{"label":"'), finish_reason="length")
    parsed = parse_answer(shape_of(Verdict), read(cut), "tool")

    assert isinstance(parsed, Failure)
    assert FailureKind.TRUNCATED == parsed.kind


def test_the_turn_that_is_sent_back_holds_no_call() -> None:
    """A service refuses a conversation with a call that no tool replied to."""
    assert {"role": "assistant", "content": GOOD} == read(reply(None, call(GOOD))).message


def test_arguments_of_a_stream_may_come_as_an_object() -> None:
    """Some servers write a call whole into one event."""
    delta = {"tool_calls": [{"index": 0, **call({"label": "a"})}]}
    event = orjson.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": "tool_calls"}]})

    assert GOOD == read(b"data: " + event + b"\n\ndata: [DONE]\n\n").text


def test_arguments_that_are_nested_beyond_all_reason_are_no_answer() -> None:
    """An object is read deeper than it can be written; reading an answer never raises."""
    nested = b'{"label":' * 400 + b"1" + b"}" * 400
    body = reply(None, call({"label": 0})).replace(b'{"label":0}', nested)

    parsed = parse_answer(shape_of(Verdict), read(body), "tool")

    assert isinstance(parsed, Failure)
    assert parsed.kind is FailureKind.PARSE_ERROR
