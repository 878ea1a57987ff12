"""What one reply to a question of the probe says. None and `unknown` stand for: nothing was found out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import orjson

from llmbatch.call.failure import Failure, FailureKind
from llmbatch.call.values import Reply
from llmbatch.capability.questions import MARK, TOKENS_OF_A_COUNT
from llmbatch.config.capabilities import Support
from llmbatch.parse.body import load_body
from llmbatch.parse.completion import Completion, read_completion, usage_of
from llmbatch.parse.extract import without_thoughts
from llmbatch.parse.stream import is_stream
from llmbatch.parse.tool_answer import answered_by_tool
from llmbatch.policy import verdict_of_reply

ANY_MODEL_API = "https://service.example/v1/chat/completions"
"""Replies are judged by what they say, not by where they come from."""
_TOO_FEW = ("could not finish the message", "output limit was reached", "higher max_tokens")
"""How services say that a limit leaves a model no room for its thoughts: the parameter is taken, its value too low."""
_ROOM = 8
"""Tokens that an answer may be longer than its limit: services count the end of an answer differently."""


def refuses(reply: Reply | None) -> bool:
    """Whether the service refuses what it was asked for, in a way that asking again does not change."""
    if reply is None or reply.status < 400:
        return False
    verdict = verdict_of_reply(reply, url=ANY_MODEL_API)
    return verdict.kind is FailureKind.BAD_REQUEST and not wants_more_tokens(reply)


def wants_more_tokens(reply: Reply | None) -> bool:
    """Whether a service refuses an answer of so few tokens, since the model has not thought to its end with them."""
    if reply is None or reply.status not in {400, 422}:
        return False
    said = verdict_of_reply(reply, url=ANY_MODEL_API).message.lower()
    return any(words in said for words in _TOO_FEW)


def refused_parameter(reply: Reply, sent: Sequence[str]) -> str | None:
    """Return which of the parameters that were sent a refusal is about; None where it names none of them.

    Of several the first in `sent` counts: leaving out one may be enough, as where two may not be given together.
    """
    document = load_body(reply.body)
    error = document.get("error") if isinstance(document, dict) else None
    if isinstance(error, dict) and error.get("param") in sent:
        return str(error["param"])
    words = set(re.findall(r"\w+", reply.body[:4000].decode("utf-8", "replace")))
    return next((name for name in sent if name in words), None)


def completion_of(reply: Reply | None) -> Completion | None:
    """Return the answer that a reply holds."""
    if reply is None or reply.status >= 300:
        return None
    found = read_completion(reply.body, reply.header("content-type"))
    return None if isinstance(found, Failure) else found


def thinks(completion: Completion) -> bool:
    """Whether the model wrote thoughts before its answer."""
    counted = completion.usage is not None and completion.usage.tokens_reasoning > 0
    text = completion.text or ""
    return bool(completion.reasoning) or counted or not text.strip() or without_thoughts(text) != text


def shows_thoughts(completion: Completion) -> bool:
    """Whether the thoughts of a model that thinks are in its reply: then something is, however soon it is cut off."""
    return bool(completion.reasoning) or bool((completion.text or "").strip())


def passes_its_limit(completion: Completion) -> bool:
    """Whether an answer is longer than it was to be; thoughts do not count, some services do not limit them."""
    if completion.reasoning or completion.usage is None:
        return False
    used = completion.usage
    return used.tokens_out - used.tokens_reasoning > TOKENS_OF_A_COUNT + _ROOM


def schema_support(reply: Reply | None) -> Support:
    """Read the answer to a schema that one value fits: it and nothing else, or the schema was passed over."""
    text, support = _text_or_support(reply)
    return support if text is None else _yes_or_ignored(_object(text) == {"mark": MARK})


def object_support(reply: Reply | None) -> Support:
    """Read the answer to a wish for plain words in JSON mode: an object, whole or begun, or the mode was passed over.

    Nothing but white space up to the limit is what JSON mode writes where the model does not want to.
    """
    text, support = _text_or_support(reply)
    if text is None:
        return support
    completion = completion_of(reply)
    cut = completion is not None and completion.finish_reason == "length"
    begun = cut and text.lstrip()[:1] in ("", "{")
    return _yes_or_ignored(begun or _object(text) is not None)


def tool_support(reply: Reply | None) -> Support:
    """Read the answer to a function that must be called: a call with an object, or words."""
    completion = completion_of(reply)
    if completion is not None and completion.tool_calls:
        called = answered_by_tool(completion, "note")
        return _yes_or_ignored(_object(called.text or "") is not None)
    text, support = _text_or_support(reply)
    return support if text is None else "ignored"


def n_support(reply: Reply | None) -> Support:
    """Count the answers to one question for two."""
    if refuses(reply):
        return "refused"
    document = load_body(reply.body) if reply is not None and completion_of(reply) is not None else None
    choices = document.get("choices") if isinstance(document, dict) else None
    return _yes_or_ignored(len(choices) >= 2) if isinstance(choices, list) else "unknown"


def stream_support(reply: Reply | None) -> Support:
    """Look for the tokens at the end of a stream; an answer in one piece has passed over the wish for a stream."""
    if refuses(reply):
        return "refused"
    if reply is None or completion_of(reply) is None:
        return "unknown"
    streamed = is_stream(reply.body, reply.header("content-type"))
    return _yes_or_ignored(streamed and usage_of(reply.body) is not None)


def seed_support(first: Reply | None, same: Reply | None, other: Reply | None) -> tuple[Support, bool]:
    """Compare two answers with one seed and one with another; also return whether the temperature is passed over.

    Three equal lists of ten random numbers at temperature 1 were not drawn.
    """
    if any(refuses(reply) for reply in (first, same, other)):
        return "refused", False
    texts = [_said(reply) for reply in (first, same, other)]
    if texts[0] is None or texts[1] is None:
        return "unknown", False
    if texts[0] != texts[1]:
        return "ignored", False
    if texts[2] is None:
        return "unknown", False
    is_drawn = texts[2] != texts[0]
    return ("yes" if is_drawn else "unknown"), not is_drawn


def _text_or_support(reply: Reply | None) -> tuple[str | None, Support]:
    """Return the text of an answer without thoughts in it, or what there being none means."""
    if refuses(reply):
        return None, "refused"
    completion = completion_of(reply)
    if completion is None or completion.refusal or not completion.text:
        return None, "unknown"
    text = without_thoughts(completion.text)
    if text != completion.text and not text.strip():  # the thoughts were cut off
        return None, "unknown"
    return text, "unknown"


def _said(reply: Reply | None) -> str | None:
    completion = completion_of(reply)
    return None if completion is None else completion.text or completion.reasoning or None


def _object(text: str) -> dict[str, Any] | None:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _yes_or_ignored(is_so: bool) -> Support:
    return "yes" if is_so else "ignored"
