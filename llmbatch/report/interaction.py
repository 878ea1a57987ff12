"""A recorded interaction, or the difference of two, as a page that a person reads. Prints nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from llmbatch.call.failure import Failure
from llmbatch.call.values import Reply, Request
from llmbatch.cassette.line import Decoded
from llmbatch.cassette.scrub import key_headers_of
from llmbatch.cassette.upkeep.looking.difference import Difference
from llmbatch.cassette.upkeep.walk import RecordedLine
from llmbatch.parse.completion import Completion, read_completion
from llmbatch.report.page import Field, Heading, Part, Text

_SHORT = 80
"""Characters, before and after together, up to which a difference is one line."""
_LONG = 300
"""Characters of JSON from which on a parameter is shown over several lines."""


def page_of(line: RecordedLine, whole: Decoded, *, answers: bool) -> Iterator[Part]:
    """Yield what there is to see of one line: where it is, the request turn by turn, the response."""
    what = "failed attempt" if whole.kind is not None else "interaction"
    yield Heading(f"{what} {whole.call.key.hex()}")
    yield Field("case", whole.case if whole.case is not None else "none: the request belonged to no case")
    yield Field("recorded", _recorded(whole.reply))
    yield Field("draw", f"repeat {whole.call.repeat}, ordinal {whole.call.ordinal}, generation {whole.generation}")
    yield Field("line", f"{line.file.file}, offset {line.offset:,}, {len(line.text):,} bytes")
    if whole.kind is not None:
        yield Field("failed", f"{whole.kind}: {whole.message}")
    elif not answers:
        yield Field("answers", "no: another line of this key does, or its generation is not complete")
    yield from _request(whole.call.request)
    if whole.reply is None:
        yield Heading("response  none came", level=2)
    else:
        yield from _response(whole.reply)


def difference_page(found: Iterable[Difference], one: str, other: str) -> Iterator[Part]:
    """Yield the differences of two, those of one field together; lines of a text below each other."""
    field, empty = None, True
    for each in found:
        if empty:
            yield from (Heading("difference"), Field("from", one), Field("to", other))
            empty = False
        short = each.line is None and len(each.before or "") + len(each.after or "") <= _SHORT
        if short:
            yield Field(each.field, each.change)
            continue
        if each.field != field:
            field = each.field
            yield Heading(field, level=2)
        place = "" if each.line is None else f"line {each.line}"
        if each.before is not None:
            yield Text(each.before, place, mark="-")
        if each.after is not None:
            yield Text(each.after, place, mark="+")
    if empty:
        yield Heading(f"no difference between {one} and {other}")


def _recorded(reply: Reply | None) -> str:
    if reply is None or not reply.recorded_at:
        return "no reply came"
    instant = reply.recorded_at.replace("T", " ").removesuffix("Z")
    return f"{instant} UTC, after {reply.taken_us / 1e6:,.3f} s"


def _request(request: Request) -> Iterator[Part]:
    yield Heading(f"request  {request.method} {request.url}", level=2)
    for name, values in sorted(key_headers_of(request.headers).items()):
        yield Field(f"header {name}", ", ".join(values))
    if not request.body:
        return
    document = _document(request.body)
    if not isinstance(document, dict):
        yield from _raw(request.body, document)
        return
    turns = document.pop("messages", None)
    yield from _members(document)
    if isinstance(turns, list):
        for turn in turns:
            yield from _turn(turn)


def _turn(turn: Any) -> Iterator[Part]:
    if not isinstance(turn, dict):
        yield Text(_json(turn), "message")
        return
    content = turn.get("content")
    parts = content if isinstance(content, list) else [content]
    for part in parts:
        if part is not None:
            yield Text(_said(part), str(turn.get("role")))
    yield from _members({name: value for name, value in turn.items() if name not in {"role", "content"}})


def _said(part: Any) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    return _json(part)


def _response(reply: Reply) -> Iterator[Part]:
    yield Heading(f"response  {reply.status} {reply.reason}".rstrip(), level=2)
    said = read_completion(reply.body, reply.header("content-type"))
    if isinstance(said, Failure):
        yield from _raw(reply.body, _document(reply.body))
        return
    yield from _completion(said)


def _completion(said: Completion) -> Iterator[Part]:
    if said.served_model is not None:
        yield Field("model", said.served_model)
    if said.finish_reason is not None:
        yield Field("finish_reason", said.finish_reason)
    if said.usage is not None:
        usage = said.usage
        cached = f", {usage.tokens_cached:,} of them cached" if usage.tokens_cached else ""
        thought = f", {usage.tokens_reasoning:,} of them thoughts" if usage.tokens_reasoning else ""
        yield Field("tokens", f"{usage.tokens_in:,} in{cached}; {usage.tokens_out:,} out{thought}")
    if said.fingerprint is not None:
        yield Field("fingerprint", said.fingerprint)
    if said.reasoning:
        yield Text(said.reasoning, "reasoning")
    if said.refusal:
        yield Text(said.refusal, "refusal")
    if said.tool_calls:
        yield Text(_json(said.tool_calls, long=True), "tool_calls")
    if said.text is not None:
        yield Text(said.text, "assistant")


def _members(document: dict[str, Any]) -> Iterator[Part]:
    for name, value in document.items():
        text = value if isinstance(value, str) else _json(value)
        if len(text) > _LONG or "\n" in text:
            yield Text(text if isinstance(value, str) else _json(value, long=True), name)
        else:
            yield Field(name, text)


def _raw(body: bytes, document: Any) -> Iterator[Part]:
    if document is not None:
        yield Text(_json(document, long=True), "body")
        return
    try:
        yield Text(body.decode(), "body")
    except UnicodeDecodeError:
        yield Field("body", f"{len(body):,} bytes that are no text")


def _document(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _json(value: Any, *, long: bool = False) -> str:
    if long:
        return json.dumps(value, ensure_ascii=False, indent=2)
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
