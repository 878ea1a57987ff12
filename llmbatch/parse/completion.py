"""Read the body of a reply: what the model said, why it stopped, what it used. Knows no shape and no task.

Bodies are read as they were recorded, so reading is a step that can be repeated and changed for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Annotated, Any, NamedTuple, TypeAlias

import msgspec
import orjson

from llmbatch.call.failure import Failure, FailureKind
from llmbatch.parse.body import load_body
from llmbatch.parse.stream import is_stream, join_stream
from llmbatch.policy.bodies import BROKEN_OFF, message_of_error, status_of_break


class Usage(NamedTuple):
    """Tokens as the service counted them: cached are part of in, reasoning of out."""

    tokens_in: int
    tokens_out: int
    tokens_cached: int = 0
    tokens_reasoning: int = 0


class Completion(NamedTuple):
    """One answer of a chat or text completion.

    `message` is the assistant's message as received, to be sent back in the next turn. `text` is None
    where the model sent none; `reasoning` is what it thought aloud in a member of its own. `held` is that message, or
    the body that it is still to be taken from.
    """

    text: str | None
    finish_reason: str | None
    refusal: str | None
    tool_calls: list[Any] | None
    reasoning: str | None
    served_model: str | None
    fingerprint: str | None
    usage: Usage | None
    held: dict[str, Any] | bytes

    @property
    def message(self) -> dict[str, Any]:
        """The assistant's message as received."""
        if isinstance(self.held, dict):
            return self.held
        looked_at = _looked_at(self.held)
        assert isinstance(looked_at, Completion)  # what is read in one step is read member by member too
        return looked_at.message


_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class _Details(msgspec.Struct, gc=False):
    cached_tokens: _Count | None = None
    reasoning_tokens: _Count | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: _Count
    completion_tokens: _Count = 0
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    prompt_cache_hit_tokens: _Count | None = None


class _Message(msgspec.Struct, gc=False):
    content: str
    refusal: None = None
    tool_calls: list[msgspec.Raw] | None = None
    function_call: None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _Choice(msgspec.Struct, gc=False):
    message: _Message
    finish_reason: str | None = None
    error: None = None


class _Document(msgspec.Struct, gc=False):
    """A whole completion that says something and nothing else: what most are, read with its types in one step."""

    choices: list[_Choice]
    model: str | None = None
    system_fingerprint: str | None = None
    usage: _Usage | None = None


_document = msgspec.json.Decoder(_Document).decode


def read_completion(body: bytes, content_type: str | None = None) -> Completion | Failure:
    """Return the first choice of a chat or legacy text completion, streamed or whole.

    A body that is no such thing is a Failure: INVALID_JSON, NOT_API, EMPTY_CHOICES, SERVER_ERROR (an error
    object in a good reply) or TRUNCATED_BODY (a stream that was cut). Never raises.
    """
    plain = _plain(body) if body[:1] == b"{" else None
    return _looked_at(body, content_type) if plain is None else plain


def other_completions(body: bytes, content_type: str | None = None) -> list[Completion]:
    """Return the choices after the first, each with the usage of all of them; none of a body that is a failure."""
    document = _load(body, None if body[:1] == b"{" else content_type)
    choices = document.get("choices") if isinstance(document, dict) else None
    found = (_completion_of(document, choice) for choice in choices[1:]) if isinstance(choices, list) else ()
    return [completion for completion in found if isinstance(completion, Completion)]


def _looked_at(body: bytes, content_type: str | None = None) -> Completion | Failure:
    """Read a body of any kind member by member."""
    try:
        # a body that is an object is no stream, whatever its content type says
        document = orjson.loads(body) if body[:1] == b"{" else _load(body, content_type)
    except orjson.JSONDecodeError:
        document = load_body(body)
    if type(document) is not dict:
        if isinstance(document, Failure):
            return document
        return Failure(FailureKind.NOT_API, f"the body is a JSON {type(document).__name__}, not a completion")
    choices = document.get("choices")
    return _completion_of(document, choices[0] if type(choices) is list and choices else None)


def _completion_of(document: dict[str, Any], choice: Any) -> Completion | Failure:
    """Read one choice of a document."""
    if type(choice) is not dict:
        return _without_choice(document)
    finish_reason = choice.get("finish_reason")
    if status_of_break(finish_reason) is not None or choice.get("error"):
        return _service_error(choice.get("error") or document.get("error"), finish_reason)
    message = choice.get("message")
    if type(message) is not dict:
        text = choice.get("text")
        message = {"role": "assistant", "content": text if type(text) is str else None}
    get = message.get
    text, refusal, tool_calls = get("content"), get("refusal"), get("tool_calls")
    reasoning = get("reasoning_content") or get("reasoning")
    if type(text) is list:
        text, thought = _joined_parts(text)
        reasoning = reasoning or thought
    if not tool_calls and type(get("function_call")) is dict:
        tool_calls = [{"type": "function", "function": message["function_call"]}]
    model, fingerprint = document.get("model"), document.get("system_fingerprint")
    return _completed(
        (
            text if type(text) is str else None,
            finish_reason if type(finish_reason) is str else None,
            refusal if refusal and type(refusal) is str else None,
            tool_calls if tool_calls and type(tool_calls) is list else None,
            reasoning if type(reasoning) is str else None,
            model if type(model) is str else None,
            fingerprint if type(fingerprint) is str else None,
            _usage(document.get("usage")),
            message,
        )
    )


def _plain(body: bytes) -> Completion | None:
    """Return a completion of the usual form; None for all others, which are looked at member by member."""
    try:
        # what is passed over must be text as well, and msgspec looks at that in a str alone
        document = _document(body if body.isascii() else body.decode())
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if not document.choices or (choice := document.choices[0]).finish_reason in BROKEN_OFF:
        return None
    used, said = document.usage, choice.message
    if said.tool_calls:
        return None
    return _completed(
        (
            said.content,
            choice.finish_reason,
            None,
            None,
            said.reasoning_content or said.reasoning,
            document.model,
            document.system_fingerprint,
            None if used is None else _counted(used),
            body,
        )
    )


def _counted(used: _Usage) -> Usage:
    inner_in, inner_out = used.prompt_tokens_details, used.completion_tokens_details
    cached = None if inner_in is None else inner_in.cached_tokens
    if cached is None:
        cached = used.prompt_cache_hit_tokens or 0  # DeepSeek
    reasoning = (None if inner_out is None else inner_out.reasoning_tokens) or 0
    return _usage_of((used.prompt_tokens, used.completion_tokens, cached, reasoning))


_usage_of: Callable[[Iterable[Any]], Usage] = partial(tuple.__new__, Usage)
_completed: Callable[[Iterable[Any]], Completion] = partial(tuple.__new__, Completion)  # a third of Completion(...)


def _load(body: bytes, content_type: str | None) -> Any:
    return join_stream(body) if is_stream(body, content_type) else load_body(body)


def usage_of(body: bytes) -> Usage | None:
    """Return the tokens a reply of any model API says it used: chat, responses, embeddings, streams."""
    document = _load(body, None)
    return _usage(document.get("usage")) if isinstance(document, dict) else None


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


def _service_error(error: object, finish_reason: object = None) -> Failure:
    message = message_of_error(error) if error else f"finish_reason `{finish_reason}`" if finish_reason else ""
    said = message[:200] or "no message"
    return Failure(FailureKind.SERVER_ERROR, f"the service sent an error in a good reply: {said}")


def _usage(usage: object) -> Usage | None:
    """Read chat (`prompt_tokens`), responses (`input_tokens`) and embeddings usage; anything odd is None."""
    if type(usage) is not dict:
        return None
    get = usage.get
    tokens_in = get("prompt_tokens")
    if type(tokens_in) is int and tokens_in >= 0:
        tokens_out = get("completion_tokens")
        inner_in, inner_out = get("prompt_tokens_details"), get("completion_tokens_details")
    else:
        tokens_in = get("input_tokens")
        if type(tokens_in) is not int or tokens_in < 0:
            return None
        tokens_out = get("output_tokens")
        inner_in, inner_out = get("input_tokens_details"), get("output_tokens_details")
    # written out, as all that runs for every answer: a count is a whole number from 0
    cached = inner_in.get("cached_tokens") if type(inner_in) is dict else None
    if type(cached) is not int or cached < 0:
        cached = get("prompt_cache_hit_tokens")  # DeepSeek
    reasoning = inner_out.get("reasoning_tokens") if type(inner_out) is dict else None
    return Usage(
        tokens_in,
        tokens_out if type(tokens_out) is int and tokens_out >= 0 else 0,
        cached if type(cached) is int and cached >= 0 else 0,
        reasoning if type(reasoning) is int and reasoning >= 0 else 0,
    )
