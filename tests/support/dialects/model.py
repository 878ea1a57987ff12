"""A model behind a scripted service: it does what the service makes it do, and talks where it is let.

What it says is a function of the prompt, and at a temperature above 0 of the seed, or of how often it was asked.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import orjson

from tests.support.dialects.heard import Heard
from tests.support.fault_server.model import Dice, instance_of, logprobs_of

CREATED = 1_760_000_000
_LONG = 60

_asked = itertools.count()


def document_of(heard: Heard, honoured: frozenset[str]) -> dict[str, Any]:
    """Return a chat completion of a service that honours these of its request's members and modes."""
    number = int(heard.body.get("n") or 1) if "n" in honoured else 1
    choices = [_choice(heard, honoured, index) for index in range(number)]
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": CREATED,
        "model": heard.body.get("model"),
        "choices": choices,
        "usage": _usage(heard, choices),
    }


def _choice(heard: Heard, honoured: frozenset[str], index: int) -> dict[str, Any]:
    dice = Dice(_seed(heard, honoured, index))
    mode, schema = heard.mode, heard.schema
    message: dict[str, Any] = {"role": "assistant", "content": None}
    finish = "stop"
    if mode == "tool" and "tool" in honoured:
        assert schema is not None
        name = heard.body["tools"][0]["function"]["name"]
        message["tool_calls"] = [call_of(name, orjson.dumps(_instance(schema, dice)).decode())]
        return {"index": index, "message": message, "finish_reason": "tool_calls", "logprobs": None}
    if schema is not None and (heard.is_in_words or mode in honoured):
        said = orjson.dumps(_instance(schema, dice)).decode()
    elif mode == "json_object" and mode in honoured:
        said = orjson.dumps({"answer": dice.words(3)}).decode()
    else:  # the first word is a function of the prompt alone: so are its chances
        said, finish = _cut(f"{Dice(heard.text).words(1)} {dice.words(_LONG)}", heard)
    message["content"] = said
    logprobs = None
    if heard.body.get("logprobs") and "logprobs" in honoured:
        most = int(heard.body.get("top_logprobs") or 0) if "top_logprobs" in honoured else 0
        logprobs = logprobs_of(said, Dice(heard.text), most)
    return {"index": index, "message": message, "finish_reason": finish, "logprobs": logprobs}


def _seed(heard: Heard, honoured: frozenset[str], index: int) -> str:
    if not heard.body.get("temperature", 1):
        return heard.text
    seed = heard.body.get("seed") if "seed" in honoured else None
    return f"{heard.text}:{seed if seed is not None else next(_asked)}:{index}"


def _instance(schema: Mapping[str, Any], dice: Dice) -> Any:
    return instance_of(dict(schema), dice, dict(schema.get("$defs") or {}))


def _cut(said: str, heard: Heard) -> tuple[str, str]:
    most = heard.body.get("max_tokens") or heard.body.get("max_completion_tokens") or _LONG * 2
    words = said.split()
    return (said, "stop") if len(words) <= most else (" ".join(words[:most]), "length")


def _usage(heard: Heard, choices: list[dict[str, Any]]) -> dict[str, Any]:
    tokens_in = 4 + len(heard.text.split())
    tokens_out = sum(1 + len(str(choice["message"]["content"]).split()) for choice in choices)
    return {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}


def call_of(name: str, arguments: Any) -> dict[str, Any]:
    """Return a tool call as a reply holds it."""
    return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}


def events_of(document: Mapping[str, Any], *, with_usage: bool) -> bytes:
    """Return a completion as the events of a stream, its usage in one more at the end where that is asked for."""
    shared = {**{name: document[name] for name in ("id", "created", "model")}, "object": "chat.completion.chunk"}
    chunks: list[dict[str, Any]] = []
    for choice in document["choices"]:
        delta = {name: value for name, value in choice["message"].items() if value is not None}
        chunks.append({**shared, "choices": [{"index": choice["index"], "delta": delta, "finish_reason": None}]})
        last = {"index": choice["index"], "delta": {}, "finish_reason": choice["finish_reason"]}
        chunks.append({**shared, "choices": [last]})
    if with_usage:
        chunks.append({**shared, "choices": [], "usage": document["usage"]})
    return b"".join(b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"
