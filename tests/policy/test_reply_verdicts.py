"""What each reply means. One row of the table a case, in the words of the services that send it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmbatch.call.failure import FailureKind as Kind
from llmbatch.call.values import Reply
from llmbatch.policy import Verdict, is_model_api, verdict_of_reply
from llmbatch.policy.bodies import Facts
from llmbatch.policy.replies import _REPLY_RULES, _SHAPE_RULES, is_plainly_good

CHAT = "https://api.example.com/v1/chat/completions"
FOREIGN = "https://api.example.com/repos/x"
GOOD = {"choices": [{"index": 0, "message": {"content": "yes"}, "finish_reason": "stop"}]}


def reply(status: int, body: Any, content_type: str = "application/json", **headers: str) -> Reply:
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): (value,) for name, value in headers.items()}
    return Reply(status, "", {"content-type": (content_type,), **named}, encoded)


def error(message: str, code: Any = None, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "code": code, **more}}


def judge(status: int, body: Any, content_type: str = "application/json", **headers: str) -> Verdict:
    return verdict_of_reply(reply(status, body, content_type, **headers), url=CHAT)


@pytest.mark.parametrize(
    "answer",
    [
        GOOD,
        {"choices": [{"message": {"content": None}, "finish_reason": "stop"}]},
        {"choices": [{"message": {"content": None, "refusal": "no"}, "finish_reason": "stop"}]},
        {"choices": [{"message": {"content": "cut"}, "finish_reason": "length"}]},
        {"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]},
        {"choices": [{"message": {"content": None, "tool_calls": []}, "finish_reason": "tool_calls"}]},
        {"choices": [{"message": {"content": "invalid_api_key insufficient_quota <html>"}}], "error": None},
    ],
)
def test_whatever_the_model_said_is_a_final_answer(answer: dict[str, Any]) -> None:
    """Empty content, refusals, truncation and tool calls were paid for: they are results, not failures."""
    assert Verdict(final=True) == judge(200, answer)


@pytest.mark.parametrize("body", [b"\xef\xbb\xbf", b"\n\n \n", b"\r\n\r\n"])
def test_a_byte_order_mark_or_blank_keepalive_lines_before_the_json_are_legal(body: bytes) -> None:
    """DeepSeek sends blank lines while it works."""
    assert Verdict(final=True) == judge(200, body + json.dumps(GOOD).encode(), "")


def test_a_lone_surrogate_in_an_answer_is_still_an_answer() -> None:
    """The recorded body is bytes; a strict parser must not turn a paid answer into a failure."""
    body = rb'{"choices":[{"message":{"content":"\ud800"}}]}'

    assert judge(200, body).final


QUOTA = (Kind.QUOTA, "no", True, False)
NO_MODEL = (Kind.MODEL_NOT_FOUND, "no", True, False)
REFUSALS = [
    (429, error("Rate limit reached for requests", "rate_limit_exceeded"), Kind.RATE_LIMITED, "global", False, False),
    (429, error("You exceeded your current quota", "insufficient_quota"), Kind.QUOTA, "no", True, False),
    (402, error("Insufficient Balance"), Kind.QUOTA, "no", True, False),
    (402, error("pay"), Kind.QUOTA, "no", True, False),
    (401, error("Incorrect API key provided"), Kind.AUTH, "no", True, False),
    (403, error("Country not supported"), Kind.AUTH, "no", True, False),
    (403, error("requires moderation and your input was flagged"), Kind.CONTENT_FILTER, "no", False, True),
    (404, error("model `x` not found", "model_not_found"), Kind.MODEL_NOT_FOUND, "no", True, False),
    (404, b"<html>no such page</html>", Kind.MODEL_NOT_FOUND, "no", True, False),
    (405, b"", Kind.MODEL_NOT_FOUND, "no", True, False),
    (410, b"", Kind.MODEL_NOT_FOUND, "no", True, False),
    (407, b"", Kind.CONFIG_ERROR, "no", True, False),
    (302, b"", Kind.CONFIG_ERROR, "no", True, False),
    (400, error("too long", "context_length_exceeded"), Kind.CONTEXT_LENGTH, "no", False, True),
    (400, error("the request exceeds the available context size"), Kind.CONTEXT_LENGTH, "no", False, True),
    (
        400,
        {"object": "error", "message": "maximum context length is 10", "code": 400},
        Kind.CONTEXT_LENGTH,
        "no",
        False,
        True,
    ),
    (400, error("bad", innererror={"code": "ResponsibleAIPolicyViolation"}), Kind.CONTENT_FILTER, "no", False, True),
    (400, error("Content Exists Risk"), Kind.CONTENT_FILTER, "no", False, True),
    (400, error("API key not valid. Please pass a valid API key."), Kind.AUTH, "no", True, False),
    (400, error("Model Not Exist"), Kind.MODEL_NOT_FOUND, "no", True, False),
    (400, error("temperature is too high"), Kind.BAD_REQUEST, "no", False, True),
    (400, b"plain words of SGLang", Kind.BAD_REQUEST, "no", False, True),
    (413, error("too big"), Kind.BAD_REQUEST, "no", False, True),
    (422, error("validation"), Kind.BAD_REQUEST, "no", False, True),
    (418, error("teapot"), Kind.BAD_REQUEST, "no", False, False),
    # llama.cpp while it answers (ggml-org/llama.cpp#19774), and before it begins
    (500, error("Context size has been exceeded.", 500), Kind.CONTEXT_LENGTH, "no", False, False),
    (400, error("request (9 tokens)", 400, type="exceed_context_size_error"), Kind.CONTEXT_LENGTH, "no", False, True),
    # LiteLLM: budgets of its own with 400 (BerriAI/litellm#14144), names of its own for what others said
    (400, error("Budget has been exceeded! Current cost: 2", "400", type="budget_exceeded"), *QUOTA),
    (429, error("No deployments available - crossed budget: Exceeded budget for", "429"), *QUOTA),
    (
        400,
        error("litellm.ContextWindowExceededError: litellm.BadRequestError: AzureException", "400"),
        Kind.CONTEXT_LENGTH,
        "no",
        False,
        True,
    ),
    (400, error("litellm.ContentPolicyViolationError: the", "400"), Kind.CONTENT_FILTER, "no", False, True),
    (400, {"detail": {"error": "/chat/completions: Invalid model name passed in model=x"}}, *NO_MODEL),
    # OpenRouter: what the provider said is what it is about
    (
        400,
        error("Provider returned error", 400, metadata={"raw": "maximum context length is 8", "provider_name": "P"}),
        Kind.CONTEXT_LENGTH,
        "no",
        False,
        True,
    ),
    (400, error("bad", inner_error={"code": "ResponsibleAIPolicyViolation"}), Kind.CONTENT_FILTER, "no", False, True),
    *[(status, error("later"), Kind.SERVER_ERROR, "backoff", False, False) for status in (408, 409, 425, 500, 502)],
    *[(status, b"<html>bad gateway</html>", Kind.SERVER_ERROR, "backoff", False, False) for status in (504, 520, 524)],
    *[(status, b"<html>bad gateway</html>", Kind.SERVER_ERROR, "global", False, False) for status in (503, 529)],
]


@pytest.mark.parametrize(("status", "body", "kind", "retry", "stop", "final"), REFUSALS)
def test_each_refusal_has_its_class_and_consequence(  # noqa: PLR0917
    status: int, body: Any, kind: Kind, retry: str, stop: bool, final: bool
) -> None:
    """The class, whether to try again, whether to stop the run, whether to keep it as an answer."""
    verdict = judge(status, body)

    assert (kind, retry, stop, final) == (verdict.kind, verdict.retry, verdict.stop, verdict.final)
    assert str(status) in verdict.message


@pytest.mark.parametrize(
    ("body", "content_type", "kind"),
    [
        (b"<!DOCTYPE html><html>", "application/json", Kind.NOT_API),
        (b"{}", "text/html; charset=utf-8", Kind.NOT_API),
        (b'{"choices": [{"mess', "application/json", Kind.INVALID_JSON),
        (b"", "application/json", Kind.INVALID_JSON),
        (b'"text"', "application/json", Kind.INVALID_JSON),
        (b"It works!", "text/plain", Kind.NOT_API),
        (b"", "text/plain; charset=utf-8", Kind.NOT_API),
        (b"[" * 200_000, "application/json", Kind.INVALID_JSON),
        (b'{"choices": []}', "application/json", Kind.EMPTY_CHOICES),
        (b'{"id": "x"}', "application/json", Kind.EMPTY_CHOICES),
    ],
)
def test_a_success_that_is_no_answer_is_tried_twice_more(body: bytes, content_type: str, kind: Kind) -> None:
    """A captive portal, a cut body or an engine's cold start: nothing to keep, and not for ever to repeat."""
    verdict = judge(200, body, content_type)

    assert (kind, False, "backoff", 2) == (verdict.kind, verdict.final, verdict.retry, verdict.max_retries)


@pytest.mark.parametrize(
    ("reason", "retry"), [("error", "backoff"), ("abort", "backoff"), ("insufficient_system_resource", "global")]
)
def test_an_answer_that_the_service_broke_off_is_none(reason: str, retry: str) -> None:
    """It says so by the finish reason alone, of a whole reply and of a stream that ends as a good one does."""
    choice = {"index": 0, "message": {"content": "It is"}, "finish_reason": reason}
    whole = judge(200, {"object": "chat.completion", "choices": [choice]})
    event = json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}).encode()
    stream = judge(200, b"data: " + event + b"\n\ndata: [DONE]\n\n", "text/event-stream")

    expected = (Kind.SERVER_ERROR, retry, False)
    assert expected == (whole.kind, whole.retry, whole.final)
    assert expected == (stream.kind, stream.retry, stream.final)
    assert reason in whole.message


def test_what_a_provider_behind_the_service_said_is_told() -> None:
    """`Provider returned error` alone helps nobody."""
    metadata = {"provider_name": "Acme", "raw": {"error": "tokens must be positive"}}
    verdict = judge(400, error("Provider returned error", 400, metadata=metadata))

    assert 'HTTP 400: Provider returned error (Acme): {"error": "tokens must be positive"}' == verdict.message


def test_a_whole_answer_with_nan_in_it_is_kept_and_not_asked_again() -> None:
    """It was paid for, and servers that write NaN for a log-probability do so every time."""
    verdict = judge(200, b'{"choices": [{"message": {"content": "yes"}, "logprobs": {"x": -Infinity}}]}')

    assert (Kind.INVALID_JSON, True, "no") == (verdict.kind, verdict.final, verdict.retry)


@pytest.mark.parametrize("status", [400, 403, 413, 422])
def test_a_web_page_is_never_kept_as_a_final_refusal(status: int) -> None:
    """A proxy's page under a final status says nothing about the request."""
    verdict = judge(status, b"<html>sign in</html>", "text/html")

    assert verdict.kind is Kind.NOT_API
    assert not verdict.final


@pytest.mark.parametrize(
    ("inside", "kind", "retry"),
    [
        ({"error": {"message": "x", "code": 429}}, Kind.RATE_LIMITED, "global"),
        ({"error": {"message": "x", "code": "502"}}, Kind.SERVER_ERROR, "backoff"),
        ({"error": {"message": "x", "code": 401}}, Kind.AUTH, "no"),
        ({"error": "model is loading"}, Kind.SERVER_ERROR, "backoff"),
        ({"error": {"message": "x", "code": 400}}, Kind.BAD_REQUEST, "no"),
        ({"object": "error", "message": "dead", "code": 500}, Kind.SERVER_ERROR, "backoff"),
        ({"choices": [{"error": {"code": 503, "message": "x"}}]}, Kind.SERVER_ERROR, "global"),
        ({"choices": [{"finish_reason": "error", "message": {"content": ""}}]}, Kind.SERVER_ERROR, "backoff"),
    ],
)
def test_an_error_inside_a_200_is_judged_as_its_code_and_never_kept(inside: Any, kind: Kind, retry: str) -> None:
    """OpenRouter and some engines answer 200 first and fail afterwards."""
    verdict = judge(200, inside)

    assert (kind, retry, False) == (verdict.kind, verdict.retry, verdict.final)


@pytest.mark.parametrize(
    ("stream", "kind"),
    [
        (b': keep-alive\n\ndata: {"choices":[{"delta":{}}]}\n\ndata: [DONE]\n\n', None),
        (b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\r\n\r\n', None),
        (b'event: response.completed\ndata: {"type":"response.completed"}\n\n', None),
        (b'data: {"choices":[{"delta":{"content":"[DONE]"}}]}\n\n', Kind.TRUNCATED_BODY),
        (b": keep-alive\n\n", Kind.TRUNCATED_BODY),
        (b'data: {"choices":[{"index":0,"finish_reason":"stop"},{"index":1,"delta":{}}]}\n\n', Kind.TRUNCATED_BODY),
        (b'data: {"type":{}}\n\ndata: {"choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}\n\n', None),
        (b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: {"cho\n\n', Kind.TRUNCATED_BODY),
        (b'data: {"error":{"code":429,"message":"slow"}}\n\ndata: [DONE]\n\n', Kind.RATE_LIMITED),
        (b'data: {"type":"response.failed","response":{"error":{"code":"server_error"}}}\n\n', Kind.SERVER_ERROR),
    ],
)
def test_a_stream_must_reach_its_end_without_an_error_event(stream: bytes, kind: Kind | None) -> None:
    """A cut stream looks like a short answer; only its end tells."""
    verdict = judge(200, stream, "text/event-stream")

    assert (kind, kind is None) == (verdict.kind, verdict.final)


def test_x_should_retry_false_is_obeyed_on_any_status() -> None:
    """The service knows best that trying again is no use."""
    assert judge(500, error("x"), x_should_retry="false").retry == "no"
    assert judge(429, error("x"), x_should_retry="false").retry == "no"


def test_a_402_with_retry_after_is_a_budget_in_flight() -> None:
    """OpenRouter holds the balance of running calls: wait, do not stop."""
    verdict = judge(402, error("insufficient credits"), retry_after="3")

    assert verdict.kind is Kind.RATE_LIMITED
    assert verdict.retry == "global"
    assert not verdict.stop


def test_wording_in_an_echoed_prompt_does_not_stop_the_run() -> None:
    """Validation errors quote the input, and a commit message may well say `invalid api key`."""
    verdict = judge(
        422, error("Input should be a list", detail=[{"input": "fix: Invalid API key, insufficient_quota"}])
    )

    assert verdict.kind is Kind.BAD_REQUEST
    assert not verdict.stop


@pytest.mark.parametrize(
    ("status", "final", "stop"),
    [
        (200, True, False),
        (204, True, False),
        (301, True, False),
        (304, True, False),
        (400, True, False),
        (422, True, False),
        (401, False, False),
        (404, False, False),
        (429, False, False),
        (503, False, False),
    ],
)
def test_foreign_http_is_judged_by_status_alone_and_never_stops_the_run(status: int, final: bool, stop: bool) -> None:
    """A web page or broken JSON is a perfectly good reply of a host that is no model API."""
    verdict = verdict_of_reply(reply(status, b"<html>", "text/html"), url=FOREIGN)

    assert (final, stop) == (verdict.final, verdict.stop)


def test_model_routes_are_known_by_the_end_of_the_path() -> None:
    """A query or a trailing slash does not hide one, a longer path is not one."""
    assert is_model_api("http://h/openai/deployments/x/chat/completions?api-version=1")
    assert is_model_api("http://h/v1/embeddings/")
    assert is_model_api("http://h/v1/responses")
    assert not is_model_api("http://h/v1/chat/completions/x")
    assert not is_model_api("http://h/?next=/v1/responses")


def test_embeddings_and_responses_need_no_choices() -> None:
    """Only completions have them."""
    assert verdict_of_reply(reply(200, {"data": []}), url="http://h/v1/embeddings").final
    assert verdict_of_reply(reply(200, {"output": [], "error": None}), url="http://h/v1/responses").final


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(
                ["error", "choices", "code", "message", "object", "type", "response", "status", "finish_reason"]
            ),
            inner,
        )
    ),
)


@settings(max_examples=50, deadline=None)
@given(st.integers(100, 599), st.binary(max_size=60) | _JSON.map(lambda value: json.dumps(value).encode()))
def test_no_body_of_any_kind_raises(status: int, body: bytes) -> None:
    """Whatever a broken or hostile service sends has a verdict, and a good one is final and says nothing."""
    verdict = judge(status, body)

    assert (verdict.kind is None) <= verdict.final
    assert (verdict.kind is None) == (verdict.message == "")
    assert not (verdict.final and verdict.retry != "no")
    assert not (verdict.final and verdict.stop)


_ERRORS = st.sampled_from([None, "busy", {"message": "no", "code": 429}, {}, "", "error"])
_CHOICES: st.SearchStrategy[Any] = st.lists(
    st.fixed_dictionaries(
        {"message": st.just({"content": "yes"})},
        optional={"error": _ERRORS, "finish_reason": st.sampled_from(["stop", "error", None, 1])},
    )
    | st.sampled_from([None, "yes", {}, []]),
    max_size=2,
)
_COMPLETIONS = st.fixed_dictionaries(
    {"object": st.sampled_from(["chat.completion"] * 4 + ["error", None])},
    optional={
        "choices": _CHOICES | _ERRORS,
        "error": _ERRORS,
        "type": st.sampled_from(["error", "x"]),
        "response": st.fixed_dictionaries({}, optional={"error": _ERRORS}),
    },
)
_TYPES = st.sampled_from(["application/json", "application/json; charset=utf-8", "text/html", "text/event-stream", ""])
_URLS = st.sampled_from([CHAT, FOREIGN, "https://h/v1/embeddings"])


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([200, 200, 201, 429]), _COMPLETIONS, _TYPES, st.sampled_from([b"", b" ", b"data:"]), _URLS)
def test_what_is_plainly_good_is_what_no_rule_applies_to(
    status: int, document: dict[str, Any], content_type: str, before: bytes, url: str
) -> None:
    """The short way for most replies says nothing that the table would not."""
    came = reply(status, before + json.dumps(document).encode(), content_type)
    facts = Facts(came, model_api=is_model_api(url))

    assert not is_plainly_good(came, url) or not any(rule.applies(facts) for rule in _REPLY_RULES + _SHAPE_RULES)


def test_a_usual_answer_is_plainly_good() -> None:
    """Else the short way would be none."""
    assert is_plainly_good(reply(200, {"object": "chat.completion", **GOOD}), CHAT)
