"""Join the events of a `text/event-stream` body into the document of an unstreamed reply."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llmbatch.call.failure import Failure, FailureKind
from llmbatch.parse.body import load_body

_STARTS = (b"data:", b"event:", b"id:", b"retry:", b": ", b":\n", b":\r")
_JOINED = ("content", "reasoning_content", "reasoning", "refusal")


def is_stream(body: bytes, content_type: str | None) -> bool:
    """Whether a body is an event stream: by its content type, or by how it starts."""
    if body.startswith(b"{"):
        return False
    if content_type is not None and content_type.lower().startswith("text/event-stream"):
        return True
    return body[:64].lstrip().startswith(_STARTS)


def join_stream(body: bytes) -> Any:
    """Return the whole completion (or the last `response` of the responses API) that the events make.

    A stream without a finish reason and without `[DONE]` was cut: Failure(TRUNCATED_BODY). Comments and
    unknown events are skipped; an error event becomes a document with `error`.
    """
    joined: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    done = False
    for data in _data_of_events(body):
        if data.strip() == b"[DONE]":
            done = True
            break
        event = load_body(data)
        if isinstance(event, Failure):
            return Failure(FailureKind.TRUNCATED_BODY, "the stream holds an event that is not whole JSON")
        if not isinstance(event, dict):
            continue
        if event.get("error"):
            return {"error": event["error"]}
        if isinstance(event.get("response"), dict):
            joined.update(event["response"])
            done = done or joined.get("status") in ("completed", "incomplete", "failed")
            continue
        joined.update({key: value for key, value in event.items() if key != "choices" and value is not None})
        _add_choices(choices, event.get("choices"))
    if not done and (not choices or any(choice["finish_reason"] is None for choice in choices.values())):
        return Failure(FailureKind.TRUNCATED_BODY, "the stream ended before the answer did")
    if choices:
        joined["choices"] = [choice for _, choice in sorted(choices.items())]
    return joined


def _data_of_events(body: bytes) -> Iterator[bytes]:
    """Yield the data of each event; lines of one event are joined (HTML standard, section 9.2)."""
    lines: list[bytes] = []
    for line in body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"):
        if line.startswith(b"data:"):
            lines.append(line[5:].removeprefix(b" "))
        elif not line and lines:
            yield b"\n".join(lines)
            lines = []
    if lines:
        yield b"\n".join(lines)


def _add_choices(choices: dict[int, dict[str, Any]], deltas: object) -> None:
    """Add the deltas of each choice, by its index."""
    for delta in deltas if isinstance(deltas, list) else ():
        index = delta.get("index", 0) if isinstance(delta, dict) else None
        if type(index) is not int:
            continue
        choice = choices.setdefault(index, {"finish_reason": None, "message": {"role": "assistant", "content": None}})
        if delta.get("finish_reason") is not None:
            choice["finish_reason"] = delta["finish_reason"]
        _add_logprobs(choice, delta.get("logprobs"))
        if isinstance(delta.get("text"), str):  # a legacy text completion
            _append(choice["message"], "content", delta["text"])
        inner = delta.get("delta")
        if isinstance(inner, dict):
            _add_delta(choice["message"], inner)


def _add_logprobs(choice: dict[str, Any], logprobs: object) -> None:
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    if isinstance(content, list):
        choice.setdefault("logprobs", {"content": []})["content"].extend(content)


def _add_delta(message: dict[str, Any], delta: dict[str, Any]) -> None:
    for name in _JOINED:
        if isinstance(delta.get(name), str):
            _append(message, name, delta[name])
    pieces = delta.get("tool_calls")
    for piece in pieces if isinstance(pieces, list) else ():
        if isinstance(piece, dict):
            _add_tool_call(message.setdefault("tool_calls", []), piece)


def _append(message: dict[str, Any], name: str, text: str) -> None:
    message[name] = (message.get(name) or "") + text


def _add_tool_call(calls: list[dict[str, Any]], piece: dict[str, Any]) -> None:
    index = piece.get("index", len(calls))
    if not isinstance(index, int) or not 0 <= index <= len(calls):
        index = len(calls)
    if index == len(calls):
        calls.append({"type": "function", "function": {"name": "", "arguments": ""}})
    call, function = calls[index], piece.get("function")
    if isinstance(piece.get("id"), str):
        call["id"] = piece["id"]
    for name in ("name", "arguments"):
        added = function.get(name) if isinstance(function, dict) else None
        if isinstance(added, str) and isinstance(call["function"][name], str):  # nothing goes on behind an object
            _append(call["function"], name, added)
    if isinstance(function, dict) and isinstance(function.get("arguments"), dict):  # a call that is whole in one event
        call["function"]["arguments"] = function["arguments"]
