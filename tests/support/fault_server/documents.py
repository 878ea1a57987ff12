"""The documents of a model service as JSON: completions, responses, embeddings and events of a stream."""

from __future__ import annotations

from typing import Any

import orjson

from tests.support.fault_server.model import Dice, content_of, logprobs_of

CREATED = 1_760_000_000
_SAYS = {"garbage": '{"garbage": [1, 2, 3]}', "prose": "I would rather talk about the weather."}


def completion(body: dict[str, Any], text: str, dice: Dice, identity: str, fault: str) -> dict[str, Any]:
    """Return a chat completion; `fault` is one that the answer itself shows, or any other word."""
    message, finish = _message(content_of(body, text, dice), fault)
    said = message["content"] or ""
    wants_logprobs = body.get("logprobs") and said
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": finish,
        "logprobs": logprobs_of(said, dice, int(body.get("top_logprobs") or 0)) if wants_logprobs else None,
    }
    prompt_tokens, completion_tokens = 4 + len(text) // 4, 1 + len(said) // 4
    usage = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
    }
    document = {
        "id": identity,
        "object": "chat.completion",
        "created": CREATED,
        "model": body.get("model"),
        "choices": [] if fault == "empty" else [choice],
        "usage": usage,
        "system_fingerprint": "fp_fault",
    }
    if fault == "nousage":
        del document["usage"]
        document["model"] = "another-model"
    return document


def _message(content: str, fault: str) -> tuple[dict[str, Any], str]:
    """Return a message and its finish reason."""
    message: dict[str, Any] = {"role": "assistant", "content": _SAYS.get(fault, content), "refusal": None}
    match fault:
        case "refusal":
            message.update(content=None, refusal="I cannot help with that.")
        case "length":
            return {**message, "content": content[: max(1, len(content) // 2)]}, "length"
        case "null":
            message["content"] = None
        case "filter":
            return {**message, "content": ""}, "content_filter"
        case "reasoning":
            message.update(content=None, reasoning_content="First of all, the cache.")
        case "tools":
            function = {"name": "look_up", "arguments": '{"word":"cache"}'}
            call = {"id": "call_1", "type": "function", "function": function}
            return {**message, "content": None, "tool_calls": [call]}, "tool_calls"
        case "fenced":
            message["content"] = f"Here it is.\n```json\n{content}\n```\nAnything else?"
    return message, "stop"


def dressed(encoded: bytes, fault: str) -> bytes:
    """Return the bytes of a completion as odd or broken JSON."""
    match fault:
        case "broken":
            return encoded[: len(encoded) // 2]
        case "nan":
            return encoded.replace(b'"index":0', b'"index":NaN', 1)
        case "bom":
            return b"\xef\xbb\xbf" + encoded
        case "twice":
            return b'{"object":"list",' + encoded[1:]
        case _:
            return encoded


def response(body: dict[str, Any], text: str, dice: Dice, key: str) -> dict[str, Any]:
    said = {"type": "output_text", "text": content_of(body, text, dice), "annotations": []}
    return {
        "id": f"resp-{key[:20]}",
        "object": "response",
        "created_at": CREATED,
        "status": "completed",
        "error": None,
        "model": body.get("model"),
        "output": [{"id": "msg-1", "type": "message", "role": "assistant", "status": "completed", "content": [said]}],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 4 + len(text) // 4,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 9 + len(text) // 4,
        },
    }


def embeddings(body: dict[str, Any], seed: str) -> dict[str, Any]:
    texts = body.get("input") or []
    texts = [texts] if isinstance(texts, str) else texts
    vectors = []
    for index, text in enumerate(texts):
        dice = Dice(f"{seed}:{text}")
        vectors.append(
            {"object": "embedding", "index": index, "embedding": [dice.pick(2001) / 1000 - 1 for _ in range(8)]}
        )
    tokens = sum(1 + len(str(text)) // 4 for text in texts)
    return {
        "object": "list",
        "data": vectors,
        "model": body.get("model"),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def events(document: dict[str, Any], fault: str) -> bytes:
    """Return a completion as server-sent events; `cut` has half of them, `error` ends in an error event."""
    choice = document["choices"][0]
    said = choice["message"]["content"] or ""
    shared = {name: document[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    pieces = [said[start : start + 8] for start in range(0, len(said), 8)]
    deltas: list[tuple[dict[str, Any], str | None]] = [({"content": piece}, None) for piece in pieces]
    deltas.append(({}, choice["finish_reason"]))
    whole = fault not in {"cut", "error"}
    parts = [
        b"data: " + orjson.dumps({**shared, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
        for delta, finish in (deltas if whole else deltas[: len(deltas) // 2])
    ]
    if fault == "error":
        parts.append(b'data: {"error":{"message":"Provider returned error","code":502}}')
    return b"\n\n".join([b": keep-alive", *parts, *([b"data: [DONE]"] if whole else [])]) + b"\n\n"
