"""Reading the body of a reply."""

from __future__ import annotations

import itertools
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmbatch.call.failure import Failure, FailureKind
from llmbatch.parse.completion import Completion, Usage, _looked_at, _plain, read_completion, usage_of


def chat(message: dict[str, Any], **members: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    return orjson.dumps({"model": "served-1", "system_fingerprint": "fp", "choices": [choice], **members})


def read(body: bytes, content_type: str | None = "application/json") -> Completion:
    completion = read_completion(body, content_type)
    assert isinstance(completion, Completion), completion
    return completion


def test_a_chat_completion_is_read_whole() -> None:
    """Text, reason of the end, model, fingerprint, usage and the message for the next turn."""
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 2}}

    completion = read(chat({"content": "yes"}, usage=usage))

    message = {"role": "assistant", "content": "yes"}
    used = Usage(9, 4, tokens_cached=2)
    whole = completion._replace(held=completion.message)
    assert Completion("yes", "stop", None, None, None, "served-1", "fp", used, message) == whole


counts = st.none() | st.integers(-2, 9) | st.floats(0, 2) | st.booleans()
details = st.none() | st.dictionaries(st.sampled_from(["cached_tokens", "reasoning_tokens", "audio_tokens"]), counts)
members: st.SearchStrategy[Any] = (
    st.none() | st.text(max_size=3) | st.lists(st.text(max_size=2), max_size=1) | st.just({})
)
documents = st.fixed_dictionaries(
    {
        "choices": st.lists(
            st.fixed_dictionaries(
                {
                    "message": st.fixed_dictionaries(
                        {"role": st.just("assistant"), "content": st.text(max_size=5) | members},
                        optional=dict.fromkeys(
                            ("refusal", "tool_calls", "function_call", "reasoning_content", "reasoning"), members
                        ),
                    )
                },
                optional={"finish_reason": st.sampled_from(["stop", "error", None, 3]), "error": members},
            ),
            max_size=2,
        )
    },
    optional={
        "model": members,
        "system_fingerprint": members,
        "usage": members
        | st.fixed_dictionaries(
            {},
            optional={
                "prompt_tokens": counts,
                "input_tokens": counts,
                "completion_tokens": counts,
                "prompt_tokens_details": details,
                "completion_tokens_details": details,
                "prompt_cache_hit_tokens": counts,
            },
        ),
    },
)


@settings(max_examples=400, deadline=None)
@given(documents)
def test_the_short_way_and_the_long_one_read_the_same(document: dict[str, Any]) -> None:
    """A usual completion is read in one step; what that step takes is what looking at each member finds."""
    body = orjson.dumps(document)
    short = _plain(body)

    if short is not None:
        assert short._replace(held=short.message) == _looked_at(body)


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_thoughts_in_a_member_of_their_own_are_kept_apart(name: str) -> None:
    """DeepSeek, vLLM and SGLang send reasoning beside a content that may be null."""
    completion = read(chat({"content": None, name: "hm"}))

    assert (completion.text, completion.reasoning) == (None, "hm")


def test_content_in_typed_parts_is_joined() -> None:
    """Some services send content as a list of parts, thoughts among them."""
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "a"}]

    completion = read(chat({"content": [*parts, {"type": "text", "text": "b"}, 7]}))

    assert (completion.text, completion.reasoning) == ("ab", "hm")


def test_a_legacy_text_completion_becomes_a_message() -> None:
    """`choices[0].text` is what the model said."""
    completion = read(orjson.dumps({"choices": [{"text": "four", "finish_reason": "length"}]}))

    assert (completion.text, completion.finish_reason) == ("four", "length")
    assert completion.message == {"role": "assistant", "content": "four"}


@pytest.mark.parametrize("reason", ["error", "abort", "insufficient_system_resource"])
def test_an_answer_that_the_service_broke_off_is_none(reason: str) -> None:
    """What had come is not taken for what the model said."""
    choice = {"message": {"content": "It is"}, "finish_reason": reason}
    failure = read_completion(orjson.dumps({"choices": [choice]}))

    assert isinstance(failure, Failure)
    assert (FailureKind.SERVER_ERROR, True) == (failure.kind, reason in failure.message)


def test_an_empty_list_of_calls_is_no_call() -> None:
    """vLLM sends one beside every answer, which is read in one step like others."""
    body = chat({"content": "yes", "tool_calls": [], "reasoning": None})

    assert _plain(body) is not None
    assert _looked_at(body)._replace(held=body) == _plain(body)  # type: ignore[union-attr]


def test_a_function_call_counts_as_a_tool_call() -> None:
    """The older form of tool calls is read as the newer."""
    completion = read(chat({"content": None, "function_call": {"name": "f", "arguments": "{}"}}))

    assert completion.tool_calls == [{"type": "function", "function": {"name": "f", "arguments": "{}"}}]


@pytest.mark.parametrize("before", [b"\xef\xbb\xbf", b"\n\n\n", b" \r\n\r\n", b"\xef\xbb\xbf\n"])
def test_a_byte_order_mark_and_blank_lines_before_the_body_are_tolerated(before: bytes) -> None:
    """DeepSeek keeps a connection alive with blank lines; some proxies add a BOM."""
    assert read(before + chat({"content": "yes"})).text == "yes"


def test_a_lone_surrogate_becomes_a_replacement_character() -> None:
    """A lone surrogate fits in no UTF-8 file, and must not lose the answer."""
    body = chat({"content": "HERE"}).replace(b"HERE", rb"a\ud800b")

    assert read(body).text == "a\ufffdb"


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"choices": NaN}', b'{"a": Infinity}', b"\xff\xfe{}", b"oops", b"[" * 100_000]
)
def test_a_body_that_is_not_json_is_a_failure(body: bytes) -> None:
    """NaN and Infinity are not JSON; deep nesting is refused, not a crash."""
    failure = read_completion(body)

    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.INVALID_JSON


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"choices": []}, FailureKind.EMPTY_CHOICES),
        ({"choices": None}, FailureKind.EMPTY_CHOICES),
        ({"error": {"message": "overloaded", "code": 502}}, FailureKind.SERVER_ERROR),
        ({"choices": [{"error": {"message": "x"}}]}, FailureKind.SERVER_ERROR),
        ({"choices": [{"finish_reason": "error", "message": {}}]}, FailureKind.SERVER_ERROR),
        ({"detail": "hello"}, FailureKind.NOT_API),
        ([1], FailureKind.NOT_API),
    ],
)
def test_json_that_is_no_completion_is_a_failure(document: object, kind: FailureKind) -> None:
    """An error object inside a 200, no choices, or another program's JSON."""
    failure = read_completion(orjson.dumps(document))

    assert isinstance(failure, Failure)
    assert kind is failure.kind


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 2, "prompt_cache_hit_tokens": 3}, Usage(5, 2, 3)),
        ({"prompt_tokens": 5, "total_tokens": 5}, Usage(5, 0)),
        ({"prompt_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 7}}, Usage(5, 0, 0, 7)),
        (
            {
                "input_tokens": 3,
                "output_tokens": 4,
                "input_tokens_details": {"cached_tokens": 1},
                "output_tokens_details": {"reasoning_tokens": 2},
            },
            Usage(3, 4, 1, 2),
        ),
        ({"prompt_tokens": "5"}, None),
        ({"prompt_tokens": -1}, None),
        ({"prompt_tokens": True}, None),
        (None, None),
        ([], None),
    ],
)
def test_usage_is_read_from_every_api_and_is_none_when_odd(usage: object, expected: Usage | None) -> None:
    """Chat, responses and embeddings name their tokens differently; a wrong count is no count."""
    assert expected == usage_of(orjson.dumps({"usage": usage}))


def test_usage_of_what_is_not_json_is_none() -> None:
    """Any recorded body may be asked for its usage."""
    assert usage_of(b"<html>") is None
    assert usage_of(b"[1]") is None


def events(*documents: object, done: bool = True) -> bytes:
    lines = [b": keep-alive\n\n", *(b"data: " + orjson.dumps(document) + b"\n\n" for document in documents)]
    return b"".join([*lines, b"data: [DONE]\n\n"] if done else lines)


def delta(finish_reason: str | None = None, **members: Any) -> dict[str, Any]:
    return {"model": "m", "choices": [{"index": 0, "delta": members, "finish_reason": finish_reason}]}


def test_a_stream_is_joined_to_the_answer_it_carries() -> None:
    """Text, thoughts, finish reason and the usage of the last event; comments are skipped."""
    body = events(
        delta(role="assistant", reasoning_content="h"),
        delta(reasoning_content="m"),
        delta(content="ye"),
        delta("stop", content="s"),
        {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
    )

    completion = read(body, "text/event-stream; charset=utf-8")

    assert (completion.text, completion.reasoning, completion.finish_reason) == ("yes", "hm", "stop")
    assert Usage(1, 2) == completion.usage == usage_of(body)


def test_tool_calls_of_a_stream_are_joined_by_their_index() -> None:
    """Arguments come in pieces."""
    first = {"index": 0, "id": "c1", "function": {"name": "f", "arguments": '{"a"'}}
    second = {"index": 0, "function": {"arguments": ":1}"}}

    completion = read(events(delta(tool_calls=[first]), delta("tool_calls", tool_calls=[second])), None)

    call = {"type": "function", "id": "c1", "function": {"name": "f", "arguments": '{"a":1}'}}
    assert [call] == completion.tool_calls


def test_calls_of_a_stream_that_are_of_no_form_raise_nothing() -> None:
    """What is no list is passed over, and nothing goes on behind arguments that came as an object."""
    whole = {"index": 0, "id": "a", "function": {"name": "f", "arguments": {"x": 1}}}
    more = {"index": 0, "function": {"arguments": '{"x":2}'}}
    odd = [{"tool_calls": 1.5}, {"tool_calls": True}, {"tool_calls": {"index": 0}}]
    deltas = [*odd, {"tool_calls": [whole]}, {"tool_calls": [more]}]
    body = events(*({"choices": [{"index": 0, "delta": delta, "finish_reason": "stop"}]} for delta in deltas))

    calls = read(body, "text/event-stream").tool_calls

    assert [{"type": "function", "id": "a", "function": {"name": "f", "arguments": {"x": 1}}}] == calls


def test_a_stream_that_was_cut_is_a_failure() -> None:
    """Neither `[DONE]` nor a finish reason: the rest never came."""
    whole = events(delta(content="ye"), delta(content="s"), done=False)

    for body in (whole, whole[:-9]):
        failure = read_completion(body, "text/event-stream")
        assert isinstance(failure, Failure)
        assert failure.kind is FailureKind.TRUNCATED_BODY


def test_an_error_event_in_a_stream_is_the_services_error() -> None:
    """The status was sent before the error was known."""
    failure = read_completion(events(delta(content="y"), {"error": {"message": "engine died"}}))

    assert isinstance(failure, Failure)
    assert (failure.kind, "engine died" in failure.message) == (FailureKind.SERVER_ERROR, True)


def test_usage_of_a_streamed_response_is_in_its_last_event() -> None:
    """The responses API nests the whole response in `response.completed`."""
    event = {
        "type": "response.completed",
        "response": {"status": "completed", "usage": {"input_tokens": 1, "output_tokens": 2}},
    }

    assert Usage(1, 2) == usage_of(b"event: response.completed\n" + events(event, done=False))


@given(st.text(), st.lists(st.integers(0, 30), max_size=5))
def test_a_text_streamed_in_any_pieces_is_the_text(text: str, cuts: list[int]) -> None:
    """Where a service cuts its deltas changes nothing."""
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[start:end] for start, end in itertools.pairwise(edges)]

    body = events(*(delta(content=piece) for piece in pieces), delta("stop"))

    assert text == read(body, "text/event-stream").text


@given(st.binary() | st.builds(lambda tail: b'{"choices":' + tail, st.binary()))
def test_no_body_makes_reading_raise(body: bytes) -> None:
    """A cassette from a stranger is data."""
    for content_type in (None, "text/event-stream"):
        assert isinstance(read_completion(body, content_type), Completion | Failure)
    usage_of(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "message", "content", "delta", "tool_calls", "function", "index", "usage", "error"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.lists(json_values, max_size=3))
def test_no_document_makes_reading_raise(documents: list[Any]) -> None:
    """Members of any wrong type are read as absent."""
    for document in documents:
        body = orjson.dumps({"choices": [document], "usage": document, "error": None})
        assert isinstance(read_completion(body), Completion | Failure)
        delta = {"choices": [{"index": 0, "delta": document}, {"index": 0, "delta": {"tool_calls": document}}]}
        assert isinstance(read_completion(events(delta, delta), "text/event-stream"), Completion | Failure)
    assert isinstance(read_completion(events(*documents), "text/event-stream"), Completion | Failure)


def test_a_number_beyond_every_float_leaves_the_message_readable() -> None:
    """It is passed over when the answer is read, and again when the message is wanted for the next turn."""
    completion = read(chat({"content": "yes"})[:-1] + b',"logprob":-1e999}')

    assert {"role": "assistant", "content": "yes"} == completion.message


@pytest.mark.parametrize("where", [b'"id":"HERE"', b'"usage":{"HERE":1}'])
def test_a_body_that_is_no_text_is_no_answer_wherever_that_shows(where: bytes) -> None:
    """Also in a member that nobody reads."""
    body = (chat({"content": "yes"})[:-1] + b"," + where + b"}").replace(b"HERE", b"\xff")

    assert _looked_at(body) == read_completion(body)
    assert isinstance(read_completion(body), Failure)
