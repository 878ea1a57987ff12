"""The rules for replies: an ordered table, the first row that applies decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import orjson

from llmbatch.call.failure import FailureKind as Kind
from llmbatch.call.values import Reply
from llmbatch.policy.bodies import Facts
from llmbatch.policy.verdict import Verdict, is_model_api, path_of

_CONTEXT_WORDS = (
    "context_length_exceeded",  # OpenAI
    "maximum context length",  # vLLM, DeepSeek
    "exceeds the available context size",  # llama.cpp
    "context window",
    "prompt is too long",
    "input is too long",
    "exceeds the maximum allowed input length",  # SGLang
    "longer than the model's context length",  # SGLang
    "exceed_context_size_error",  # llama.cpp
    "contextwindowexceedederror",  # LiteLLM
)
_FULL_CONTEXT_WORDS = ("exceed_context_size_error", "context size has been exceeded")  # llama.cpp, while it answers
_FILTER_WORDS = (
    "content_filter",  # Azure
    "content_policy",  # OpenAI
    "content policy",
    "content management policy",
    "responsibleaipolicyviolation",
    "content exists risk",  # DeepSeek
    "contentpolicyviolation",  # LiteLLM
)
_MODERATION_WORDS = (*_FILTER_WORDS, "moderation", "flagged")  # OpenRouter's 403
_QUOTA_WORDS = (
    "insufficient_quota",
    "exceeded your current quota",
    "insufficient balance",  # DeepSeek
    "credit balance is too low",
    "insufficient credits",
    "billing_hard_limit_reached",
    "budget_exceeded",  # LiteLLM, with 400 or 429
    "budget has been exceeded",  # LiteLLM behind LiteLLM
    "crossed budget",
)
_KEY_WORDS = (
    "invalid_api_key",
    "api key not valid",
    "api_key_invalid",
    "incorrect api key",
    "invalid api key",
)
_MODEL_WORDS = (
    "model_not_found",
    "model not exist",
    "not a valid model id",
    "invalid model name passed in",  # LiteLLM
)
# HTML under one of these statuses is a gateway's way of saying what the status says.
_HTML_KEEPS_STATUS = frozenset({401, 402, 404, 405, 407, 408, 409, 410, 425, 429})
_RETRYABLE = frozenset({408, 409, 425})
_FINAL_REFUSALS = frozenset({400, 413, 422})


class Rule(NamedTuple):
    """One row of the table. `verdict` is a template: the message is filled in."""

    name: str
    applies: Callable[[Facts], bool]
    verdict: Verdict


def _status(*statuses: int, words: tuple[str, ...] = ()) -> Callable[[Facts], bool]:
    """Apply when the status counts as one of these and, if words are given, the service said one of them."""
    return lambda facts: facts.status in statuses and (not words or any(word in facts.words for word in words))


def _foreign_success(facts: Facts) -> bool:
    return not facts.model_api and 200 <= facts.reply.status < 400


def _html(facts: Facts) -> bool:
    status = facts.reply.status
    if not (facts.model_api and facts.is_html):
        return False
    return status < 300 or (400 <= status < 500 and status not in _HTML_KEEPS_STATUS)


def _unparsable(facts: Facts) -> bool:
    return facts.succeeded and not facts.is_stream and not isinstance(facts.document, dict)


def _text_of_somebody_else(facts: Facts) -> bool:
    return facts.model_api and facts.succeeded and facts.is_plain_text and not facts.is_whole_but_not_json


def _has_nan(facts: Facts) -> bool:
    return facts.model_api and _unparsable(facts) and facts.is_whole_but_not_json


def _no_choices(facts: Facts) -> bool:
    return facts.succeeded and facts.error is None and not facts.is_stream and not facts.document.get("choices")


def _cut_stream(facts: Facts) -> bool:
    return facts.succeeded and facts.error is None and facts.is_stream and not facts.is_complete


def _busy_budget(facts: Facts) -> bool:
    """OpenRouter: 402 with Retry-After says that calls in flight hold the balance for now."""
    return facts.status == 402 and facts.reply.header("retry-after") is not None


_REPLY_RULES: tuple[Rule, ...] = (
    Rule("foreign success", _foreign_success, Verdict(final=True)),
    Rule("web page", _html, Verdict(Kind.NOT_API, retry="backoff", max_retries=2)),
    Rule("plain text", _text_of_somebody_else, Verdict(Kind.NOT_API, retry="backoff", max_retries=2)),
    Rule("NaN in the JSON", _has_nan, Verdict(Kind.INVALID_JSON, final=True)),  # paid for, and whole
    Rule(
        "not JSON",
        lambda facts: facts.model_api and _unparsable(facts),
        Verdict(Kind.INVALID_JSON, retry="backoff", max_retries=2),
    ),
    Rule(
        "cut stream",
        lambda facts: facts.model_api and _cut_stream(facts),
        Verdict(Kind.TRUNCATED_BODY, retry="backoff"),
    ),
    Rule("redirect", lambda facts: 300 <= facts.status < 400, Verdict(Kind.CONFIG_ERROR, stop=True)),
    Rule(
        "context length",
        _status(400, 413, 422, words=_CONTEXT_WORDS),
        Verdict(Kind.CONTEXT_LENGTH, final=True),
    ),
    # how much room there is may depend on what else the server works on (ggml-org/llama.cpp#19774): no answer for ever
    Rule("context full", _status(500, words=_FULL_CONTEXT_WORDS), Verdict(Kind.CONTEXT_LENGTH)),
    Rule("content filter", _status(400, words=_FILTER_WORDS), Verdict(Kind.CONTENT_FILTER, final=True)),
    Rule("moderation", _status(403, words=_MODERATION_WORDS), Verdict(Kind.CONTENT_FILTER, final=True)),
    Rule("busy budget", _busy_budget, Verdict(Kind.RATE_LIMITED, retry="global")),
    Rule("quota", _status(400, 402, 403, 429, words=_QUOTA_WORDS), Verdict(Kind.QUOTA, stop=True)),
    Rule("payment required", _status(402), Verdict(Kind.QUOTA, stop=True)),
    Rule("key refused as a 400", _status(400, words=_KEY_WORDS), Verdict(Kind.AUTH, stop=True)),  # Gemini
    Rule("model refused as a 400", _status(400, words=_MODEL_WORDS), Verdict(Kind.MODEL_NOT_FOUND, stop=True)),
    Rule("auth", _status(401, 403), Verdict(Kind.AUTH, stop=True)),
    Rule("no such model or route", _status(404, 405, 410), Verdict(Kind.MODEL_NOT_FOUND, stop=True)),
    Rule("proxy refuses", _status(407), Verdict(Kind.CONFIG_ERROR, stop=True)),
    Rule("rate limit", _status(429), Verdict(Kind.RATE_LIMITED, retry="global")),
    Rule("final refusal", _status(*_FINAL_REFUSALS), Verdict(Kind.BAD_REQUEST, final=True)),
    Rule("overloaded", _status(503, 529), Verdict(Kind.SERVER_ERROR, retry="global")),
    Rule("try again", _status(*_RETRYABLE), Verdict(Kind.SERVER_ERROR, retry="backoff")),
    Rule("other refusal", lambda facts: 400 <= facts.status < 500, Verdict(Kind.BAD_REQUEST)),
    Rule(
        "server error",
        lambda facts: not 200 <= facts.status < 300,
        Verdict(Kind.SERVER_ERROR, retry="backoff"),
    ),
)
_SHAPE_RULES: tuple[Rule, ...] = (
    Rule("no choices", _no_choices, Verdict(Kind.EMPTY_CHOICES, retry="backoff", max_retries=2)),
)
_GOOD = Verdict(final=True)


def verdict_of_reply(reply: Reply, *, url: str) -> Verdict:
    """Say what a whole reply is. Bodies are looked into only where `url` is a model API's.

    An error object inside a 2xx is judged as the status it stands for, but is never final: the service did
    not refuse the request, it failed at it. Foreign replies never stop the run.
    """
    if is_plainly_good(reply, url):
        return _GOOD
    facts = Facts(reply, model_api=is_model_api(url))
    rules = _REPLY_RULES
    if path_of(url).endswith("/completions"):  # chat completions too
        rules += _SHAPE_RULES
    rule = next((rule for rule in rules if rule.applies(facts)), None)
    if rule is None or rule.verdict.kind is None:
        return _GOOD
    verdict = rule.verdict._replace(message=facts.message, rule=rule.name)
    if facts.succeeded and facts.error is not None:
        verdict = verdict._replace(final=False)
    if not facts.model_api:
        verdict = verdict._replace(stop=False)
    if (reply.header("x-should-retry") or "").strip().lower() == "false":
        verdict = verdict._replace(retry="no")
    return verdict


def is_plainly_good(reply: Reply, url: str) -> bool:
    """Whether a reply is what most are: a chat completion that no rule applies to. False says nothing.

    The rules take ten times as long to say so.
    """
    if reply.status != 200 or reply.body[:1] != b"{" or not path_of(url).endswith("/chat/completions"):
        return False
    if reply.header("content-type") not in _PLAIN_TYPES:
        return False
    try:
        document = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        return False
    choices = document.get("choices")
    if type(choices) is not list or not choices or type(choices[0]) is not dict:
        return False
    return (
        document.get("object") == "chat.completion"
        and document.keys().isdisjoint(_OF_ERRORS)
        and "error" not in choices[0]
        and choices[0].get("finish_reason") in _PLAIN_REASONS
    )


_PLAIN_TYPES = frozenset({"application/json", "application/json; charset=utf-8"})
_PLAIN_REASONS = ("stop", "length", "tool_calls", "content_filter", None)
_OF_ERRORS = frozenset({"error", "type", "response"})
"""Members of a document that an error may be in."""
