"""What a reply's body says, as facts for the rules. Decides nothing and never raises on a hostile body."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import orjson

from llmbatch.call.values import Reply

_MESSAGE_CHARACTERS = 300
_WORDING_CHARACTERS = 500  # services echo the prompt further on, and a prompt may say anything
BROKEN_OFF: Mapping[str, int] = {
    "error": 500,  # OpenRouter
    "insufficient_system_resource": 503,  # DeepSeek
    "abort": 500,  # vLLM and SGLang: the engine gave the request up (vllm-project/vllm#57082)
}
"""The finish reasons of an answer that the service itself broke off, and the status that each stands for."""
_COMPLETE_EVENTS = frozenset({"response.completed", "response.incomplete", "response.failed"})
_NO_JSON = "[NO JSON]"
"""Stands for an event of a stream that is cut, or no JSON."""
# What services write where a number could stand; whatever is not named is a server error.
_STATUS_OF_CODE: Mapping[str, int] = {
    "authentication_error": 401,
    "bad_request": 400,
    "content_filter": 400,
    "content_policy_violation": 400,
    "context_length_exceeded": 400,
    "engine_overloaded_error": 529,
    "insufficient_quota": 402,
    "internal_server_error": 500,
    "invalid_api_key": 401,
    "invalid_prompt": 400,
    "invalid_request_error": 400,
    "model_not_found": 404,
    "not_found": 404,
    "not_found_error": 404,
    "overloaded_error": 529,
    "permission_error": 403,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "request_timeout": 408,
    "server_error": 500,
    "timeout": 408,
}


@dataclass(frozen=True)
class Facts:
    """One reply as the rules see it. Everything that must be parsed is parsed at first use."""

    reply: Reply
    model_api: bool

    @property
    def succeeded(self) -> bool:
        """Whether the HTTP status itself is 2xx."""
        return 200 <= self.reply.status < 300

    @cached_property
    def status(self) -> int:
        """The status that counts: the one an error inside a 2xx stands for, else the HTTP status."""
        if self.succeeded and self.error is not None:
            return status_of_error(self.error)
        return self.reply.status

    @cached_property
    def is_html(self) -> bool:
        media_type = (self.reply.header("content-type") or "").partition(";")[0].strip().lower()
        start = self.reply.body[:200].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        return media_type == "text/html" or start.startswith((b"<!doctype html", b"<html"))

    @cached_property
    def is_plain_text(self) -> bool:
        """Whether somebody who speaks no JSON answered, in so many words."""
        media_type = (self.reply.header("content-type") or "").partition(";")[0].strip().lower()
        return media_type.startswith("text/") and not self.is_stream and not isinstance(self.document, dict)

    @cached_property
    def is_whole_but_not_json(self) -> bool:
        """Whether the body is an answer from end to end that holds NaN or Infinity, which JSON does not know."""
        return isinstance(parse_json(self.reply.body, strict=False), dict)

    @cached_property
    def is_stream(self) -> bool:
        """Whether the body is server-sent events; some servers forget to say so."""
        media_type = (self.reply.header("content-type") or "").partition(";")[0].strip().lower()
        start = self.reply.body[:200].lstrip(b"\xef\xbb\xbf \t\r\n")
        return media_type == "text/event-stream" or start.startswith((b"data:", b"event:", b": "))

    @cached_property
    def document(self) -> Any:
        """The body's JSON, or None where it is none."""
        return None if self.is_stream else parse_json(self.reply.body)

    @cached_property
    def events(self) -> list[Any]:
        """The parsed `data:` payloads of a stream; `[DONE]` is the string, and what cannot be parsed is _NO_JSON."""
        return list(_events(self.reply.body)) if self.is_stream else []

    @cached_property
    def is_complete(self) -> bool:
        """Whether a stream reached its end as the service means it: each of its choices, where it has several."""
        finished: dict[object, bool] = {}
        for event in self.events:
            if event in ("[DONE]", _NO_JSON):
                return bool(event == "[DONE]")
            if isinstance(event, Mapping):
                finished |= _finished_choices(event, finished)
        return bool(finished) and all(finished.values())

    @cached_property
    def error(self) -> Any:
        """The error object (or text) of a JSON body or of a stream's error event, else None."""
        documents = self.events if self.is_stream else [self.document]
        return next((found for found in map(_error_in, documents) if found is not None), None)

    @cached_property
    def words(self) -> str:
        """Lower-case text to look for wordings in; empty for a good answer and for a foreign host's reply."""
        if not self.model_api:
            return ""
        if self.error is not None:
            return words_of_error(self.error).lower()
        return "" if self.succeeded else self.reply.body[:_WORDING_CHARACTERS].decode("utf-8", "replace").lower()

    @cached_property
    def message(self) -> str:
        """One line for a person: the status, and what the service said."""
        if self.error is not None:
            said = message_of_error(self.error)
        else:
            said = self.reply.body[:2_000].decode("utf-8", "replace")
        said = " ".join(said.split())[:_MESSAGE_CHARACTERS]
        where = f"HTTP {self.reply.status}" + (f" meaning {self.status}" if self.status != self.reply.status else "")
        return f"{where}: {said}" if said else where


def parse_json(body: bytes, *, strict: bool = True) -> Any:
    """Return the JSON value of a body, or None; a byte order mark and blank lines before it are legal.

    Not `strict`, NaN and Infinity are let pass, as most writers of JSON do.
    """
    text = body.removeprefix(b"\xef\xbb\xbf").strip()
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:  # orjson refuses lone surrogates, which models do send; NaN stays refused
        return json.loads(text, parse_constant=_refuse_constant if strict else None)
    except (ValueError, RecursionError):
        return None


def status_of_break(finish_reason: Any) -> int | None:
    """Return the status that a finish reason stands for with which a service says that it broke an answer off."""
    return BROKEN_OFF.get(finish_reason) if isinstance(finish_reason, str) else None


def status_of_error(error: Any) -> int:
    """Return the HTTP status that an error object inside a 2xx stands for; 500 where it does not say."""
    if isinstance(error, Mapping):
        for name in ("code", "status", "status_code", "type"):
            status = _status_of_code(error.get(name))
            if status is not None:
                return status
    return 500


def words_of_error(error: Any) -> str:
    """Return the codes of an error object, the nested one of Azure included, and the start of its message."""
    inner = error.get("innererror") or error.get("inner_error") if isinstance(error, Mapping) else None
    codes = [
        source[name]
        for source in (error, inner)
        if isinstance(source, Mapping)
        for name in ("code", "type", "status")
        if isinstance(source.get(name), str)
    ]
    return " ".join([*codes, message_of_error(error)[:_WORDING_CHARACTERS]])


def message_of_error(error: Any) -> str:
    """Return the sentence of an error object, with that of the provider who was asked by the service."""
    if isinstance(error, Mapping) and isinstance(error.get("message"), str):
        return str(error["message"]) + _said_by_provider(error.get("metadata"))
    return error if isinstance(error, str) else json.dumps(error, ensure_ascii=False, default=str)


def _said_by_provider(metadata: Any) -> str:
    """Return the name and the words that OpenRouter hands on beside `Provider returned error`."""
    if not isinstance(metadata, Mapping):
        return ""
    name, raw = metadata.get("provider_name"), metadata.get("raw")
    shown = f" ({name})" if isinstance(name, str) and name else ""
    if not raw:
        return shown
    return f"{shown}: {raw if isinstance(raw, str) else json.dumps(raw, ensure_ascii=False, default=str)}"


def _status_of_code(code: Any) -> int | None:
    if isinstance(code, str):
        if code.strip().isdecimal():
            code = int(code.strip()[:4])
        else:
            return _STATUS_OF_CODE.get(code.strip().lower())
    if isinstance(code, int) and not isinstance(code, bool) and 300 <= code <= 599:
        return code
    return None


def _error_in(document: Any) -> Any:
    """Find the error object in a JSON body: top level, the failed response's, the first choice's."""
    if not isinstance(document, Mapping):
        return None
    if document.get("object") == "error" or document.get("type") == "error":
        return document.get("error") or document
    choices = document.get("choices")
    for place in (
        document,
        document.get("response"),
        choices[0] if isinstance(choices, list) and choices else None,
    ):
        if isinstance(place, Mapping):
            if place.get("error"):
                return place["error"]
            status = status_of_break(reason := place.get("finish_reason"))
            if status is not None:
                return {"message": f"the choice's finish_reason is `{reason}`", "code": status}
    return None


def _events(body: bytes) -> Iterator[Any | Literal["[DONE]"]]:
    for block in body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n\n"):
        data = [line[5:].removeprefix(b" ") for line in block.split(b"\n") if line.startswith(b"data:")]
        if not data:
            continue  # comments such as `: keep-alive`
        payload = b"\n".join(data).strip()
        read = "[DONE]" if payload == b"[DONE]" else parse_json(payload)
        yield _NO_JSON if read is None and payload != b"null" else read


def _finished_choices(event: Mapping[str, Any], before: Mapping[object, bool]) -> dict[object, bool]:
    """Return which choices of a stream an event goes on with, and whether each is at its end."""
    kind, choices = event.get("type"), event.get("choices")
    if isinstance(kind, str) and kind in _COMPLETE_EVENTS:
        return {kind: True}
    found: dict[object, bool] = {}
    for choice in choices if isinstance(choices, list) else ():
        index = choice.get("index", 0) if isinstance(choice, Mapping) else None
        if type(index) is int:
            found[index] = bool(choice.get("finish_reason")) or found.get(index, before.get(index, False))
    return found


def _refuse_constant(name: str) -> Any:
    msg = f"{name} is not JSON"
    raise ValueError(msg)
