"""Read the body of a reply: what the model said, why it stopped, what it used. Knows no shape and no task.

Bodies are read as they were recorded, so reading is a step that can be repeated and changed for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from llmbatch.call.failure import Failure, FailureKind
from llmbatch.parse.body import load_body
from llmbatch.parse.stream import is_stream, join_stream


class Usage(NamedTuple):
    """Tokens as the service counted them: cached are part of in, reasoning of out."""

    tokens_in: int
    tokens_out: int
    tokens_cached: int = 0
    tokens_reasoning: int = 0


class Completion(NamedTuple):
    """One answer of a chat or text completion.

    `message` is the assistant's message as received, to be sent back in the next turn. `text` is None
    where the model sent none; `reasoning` is what it thought aloud in a member of its own.
    """

    text: str | None
    finish_reason: str | None
    refusal: str | None
    tool_calls: list[Any] | None
    reasoning: str | None
    served_model: str | None
    fingerprint: str | None
    usage: Usage | None
    message: dict[str, Any]


def read_completion(body: bytes, content_type: str | None = None) -> Completion | Failure:
    """Return the first choice of a chat or legacy text completion, streamed or whole.

    A body that is no such thing is a Failure: INVALID_JSON, NOT_API, EMPTY_CHOICES, SERVER_ERROR (an error
    object in a good reply) or TRUNCATED_BODY (a stream that was cut). Never raises.
    """
    document = join_stream(body) if is_stream(body, content_type) else load_body(body)
    if isinstance(document, Failure):
        return document
    if not isinstance(document, dict):
        return Failure(FailureKind.NOT_API, f"the body is a JSON {type(document).__name__}, not a completion")
    choices = document.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return _without_choice(document)
    if choice.get("error") or choice.get("finish_reason") == "error":
        return _service_error(choice.get("error") or document.get("error"))
    message = choice.get("message")
    if not isinstance(message, dict):
        text = choice.get("text")
        message = {"role": "assistant", "content": text if isinstance(text, str) else None}
    return _completion(document, choice, message)


def usage_of(body: bytes) -> Usage | None:
    """Return the tokens a reply of any model API says it used: chat, responses, embeddings, streams."""
    document = join_stream(body) if is_stream(body, None) else load_body(body)
    return _usage(document.get("usage")) if isinstance(document, dict) else None


def _completion(document: Mapping[str, Any], choice: Mapping[str, Any], message: dict[str, Any]) -> Completion:
    get = message.get
    text, refusal, tool_calls = get("content"), get("refusal"), get("tool_calls")
    reasoning = get("reasoning_content") or get("reasoning")
    if type(text) is list:
        text, thought = _joined_parts(text)
        reasoning = reasoning or thought
    if not tool_calls and type(get("function_call")) is dict:
        tool_calls = [{"type": "function", "function": message["function_call"]}]
    finish_reason, model = choice.get("finish_reason"), document.get("model")
    fingerprint, usage = document.get("system_fingerprint"), document.get("usage")
    return Completion(
        text if type(text) is str else None,
        finish_reason if type(finish_reason) is str else None,
        refusal if refusal and type(refusal) is str else None,
        tool_calls if tool_calls and type(tool_calls) is list else None,
        reasoning if type(reasoning) is str else None,
        model if type(model) is str else None,
        fingerprint if type(fingerprint) is str else None,
        _usage(usage),
        message,
    )


def _joined_parts(parts: list[Any]) -> tuple[str | None, str | None]:
    """Return the text and the thoughts of a message whose content is a list of typed parts."""
    said: list[str] = []
    thought: list[str] = []
    for part in parts:
        if not isinstance(part, dict):
            continue
        if isinstance(part.get("text"), str):
            said.append(part["text"])
        inner = part.get("thinking")
        if isinstance(inner, list):
            inner = _joined_parts(inner)[0]
        if isinstance(inner, str):
            thought.append(inner)
    return "".join(said) if said else None, "".join(thought) if thought else None


def _without_choice(document: Mapping[str, Any]) -> Failure:
    error = document.get("error")
    if error:
        return _service_error(error)
    if "choices" in document:
        return Failure(FailureKind.EMPTY_CHOICES, "the reply has no choices")
    return Failure(FailureKind.NOT_API, "the reply is JSON, but not a completion: it has no `choices`")


def _service_error(error: object) -> Failure:
    message = error.get("message") if isinstance(error, dict) else error
    said = message[:200] if isinstance(message, str) and message else "no message"
    return Failure(FailureKind.SERVER_ERROR, f"the service sent an error in a good reply: {said}")


def _usage(usage: object) -> Usage | None:
    """Read chat (`prompt_tokens`), responses (`input_tokens`) and embeddings usage; anything odd is None."""
    if not isinstance(usage, dict):
        return None
    get = usage.get
    if (tokens_in := _count(get("prompt_tokens"))) is not None:
        inner_in, inner_out = get("prompt_tokens_details"), get("completion_tokens_details")
        tokens_out = _count(get("completion_tokens"))
    elif (tokens_in := _count(get("input_tokens"))) is not None:
        inner_in, inner_out = get("input_tokens_details"), get("output_tokens_details")
        tokens_out = _count(get("output_tokens"))
    else:
        return None
    cached = _count(inner_in.get("cached_tokens")) if type(inner_in) is dict else None
    if cached is None:
        cached = _count(get("prompt_cache_hit_tokens"))  # DeepSeek
    reasoning = _count(inner_out.get("reasoning_tokens")) if type(inner_out) is dict else None
    return Usage(tokens_in, tokens_out or 0, cached or 0, reasoning or 0)


def _count(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None
