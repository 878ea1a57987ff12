"""Reading cassettes that stock vcrpy wrote, by YAML events. Builds texts, lists and mappings, and nothing else.

No loader is used: tags, aliases and merge keys are refused before anything is made of them (CVE-2020-14343,
CWE-776), nesting is counted while libyaml still reads (composing 100,000 levels ends the process), and one
interaction is held at a time, so a cassette of any size takes the same memory.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, BinaryIO

import yaml

from llmbatch.call.values import Reply
from llmbatch.cassette.upkeep.exchange.incoming import CappedStream, Incoming, Unusable, refused

DEEPEST = 16
"""Levels of a mapping or list within another; vcrpy's own cassettes have six."""

_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_NOT_BASE64 = object()
_STATUS = re.compile(r"[1-9][0-9]{2}", re.ASCII)


class _UnusableError(ValueError):
    """An interaction that lacks something; the text says what."""


def read_stock_yaml(stream: BinaryIO, name: str) -> Iterator[Incoming | Unusable]:
    """Yield the interactions of a version-1 cassette in the order of the file, in any YAML style.

    Known are the forms of vcrpy 5 to 9: bodies as text or `!!binary`, header values as a list or one text, and the
    `content` and `status_code` of its older httpx stub. Raises CassetteDamaged, naming the line, where the file is
    no such cassette, ends early, or holds what no cassette does.
    """
    capped = CappedStream(stream, name)
    events = _Events(yaml.parse(capped, Loader=_PARSER), name, capped)
    events.expect(yaml.DocumentStartEvent, "it is empty")
    events.expect(yaml.MappingStartEvent, "it is no cassette of vcrpy's version 1")
    seen = False
    while not isinstance(event := events.next(), yaml.MappingEndEvent):
        member = events.value(event, 1)
        event = events.next()
        if member == "interactions" and isinstance(event, yaml.SequenceStartEvent) and not seen:
            seen = True
            yield from _interactions(events, capped)
        elif member == "interactions":
            raise events.refuse(event, "its `interactions` are no list, or stand there twice")
        else:
            events.skip(event, 1)
    if not seen:
        raise events.refuse(event, "it has no `interactions`: it is no cassette of vcrpy")
    if not isinstance(events.next(), yaml.DocumentEndEvent) or not isinstance(
        last := events.next(), yaml.StreamEndEvent
    ):
        raise events.refuse(last, "it holds a second YAML document")


def _interactions(events: _Events, capped: CappedStream) -> Iterator[Incoming | Unusable]:
    while not isinstance(event := events.next(), yaml.SequenceEndEvent):
        line = event.start_mark.line + 1
        capped.next_interaction(line)
        value = events.value(event, 2)
        try:
            yield _incoming(line, value)
        except _UnusableError as error:
            yield Unusable(line, str(error))


class _Events:
    """The events of a file, each looked at before it is used."""

    def __init__(self, events: Iterator[Any], name: str, capped: CappedStream) -> None:
        self._events = events
        self._name = name
        self._capped = capped

    def next(self) -> Any:
        """Return the next event. Raises CassetteDamaged for an alias, an anchor, a foreign tag, or no YAML."""
        try:
            event = next(self._events)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = self._capped.line if mark is None else mark.line + 1
            what = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
            raise refused(self._name, line, f"it is not YAML ({what})") from error
        if isinstance(event, yaml.StreamStartEvent):
            return self.next()
        if getattr(event, "anchor", None) is not None:  # an alias has one too
            raise self.refuse(event, "it has an anchor or an alias, which no cassette needs")
        tag = getattr(event, "tag", None)
        if tag is not None and tag not in _TAGS[type(event)]:
            raise self.refuse(event, f"the tag {tag[:80]!r} has no place in a cassette")
        return event

    def expect(self, kind: type[yaml.Event], why: str) -> None:
        """Take one event of that kind. Raises CassetteDamaged for any other."""
        event = self.next()
        if not isinstance(event, kind):
            raise self.refuse(event, why)

    def value(self, event: Any, depth: int) -> Any:
        """Return what begins with the event: a text, bytes, None, a list or a mapping of these."""
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        if depth > DEEPEST:
            raise self.refuse(event, f"it is nested more than {DEEPEST} levels deep")
        if isinstance(event, yaml.SequenceStartEvent):
            return list(self._items(depth))
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(depth)
        raise self.refuse(event, "it is not a cassette")

    def skip(self, event: Any, depth: int) -> None:
        """Pass over what begins with the event, however long it is. Raises CassetteDamaged as `value` does."""
        open_ones = 0
        while True:
            if isinstance(event, yaml.CollectionStartEvent):
                open_ones += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                open_ones -= 1
            if depth + open_ones > DEEPEST:
                raise self.refuse(event, f"it is nested more than {DEEPEST} levels deep")
            if open_ones == 0:
                return
            event = self.next()

    def refuse(self, event: Any, why: str) -> Exception:
        """Return the error for the file, naming the event's line."""
        return refused(self._name, event.start_mark.line + 1, why)

    def _items(self, depth: int) -> Iterator[Any]:
        while not isinstance(event := self.next(), yaml.SequenceEndEvent):
            yield self.value(event, depth + 1)

    def _mapping(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := self.next(), yaml.MappingEndEvent):
            name = self.value(event, depth + 1)
            if not isinstance(name, str) or name in found or (name == "<<" and event.implicit[0]):
                raise self.refuse(event, "a member's name is no text, stands there twice, or merges others in")
            found[name] = self.value(self.next(), depth + 1)
        return found


_TAGS: Mapping[type[yaml.Event], frozenset[str]] = {
    yaml.ScalarEvent: frozenset({"!", _TAG + "str", _TAG + "binary"}),
    yaml.SequenceStartEvent: frozenset({"!", _TAG + "seq"}),
    yaml.MappingStartEvent: frozenset({"!", _TAG + "map"}),
}


def _scalar(event: Any) -> Any:
    """Return a scalar as text, bytes or None; a number stays the text that it is."""
    if event.tag == _TAG + "binary":
        try:
            return base64.b64decode("".join(event.value.split()), validate=True)
        except (binascii.Error, ValueError):
            return _NOT_BASE64
    plain = event.implicit[0] and event.tag is None
    return None if plain and event.value in _NULLS else str(event.value)


def _incoming(line: int, value: Any) -> Incoming:
    request, response = _mapping_of(value, "request"), _mapping_of(value, "response")
    method, url = request.get("method"), request.get("uri")
    if not isinstance(method, str) or not isinstance(url, str):
        raise _UnusableError("its request has no `method` or no `uri`")
    status, reason = _status_of(response)
    headers = _headers_of(response)
    body = _body_of(response.get("content") if "body" not in response else response["body"])
    recorded_at = value.get("recorded_at")
    if not isinstance(recorded_at, str):
        recorded_at = _date_of(headers)
    reply = Reply(status, reason, headers, body or b"", recorded_at)
    return Incoming(line, method, url, _headers_of(request), _body_of(request.get("body")), reply)


def _mapping_of(value: Any, name: str) -> dict[str, Any]:
    found = value.get(name) if isinstance(value, dict) else None
    if not isinstance(found, dict):
        raise _UnusableError(f"it has no `{name}`")
    return found


def _status_of(response: Mapping[str, Any]) -> tuple[int, str]:
    status = response.get("status")
    code, reason = (status.get("code"), status.get("message")) if isinstance(status, dict) else (status, None)
    code = response.get("status_code") if code is None else code
    if not isinstance(code, str) or _STATUS.fullmatch(code) is None:
        raise _UnusableError("its response has no HTTP status")
    return int(code), reason if isinstance(reason, str) else ""


def _headers_of(message: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    headers = message.get("headers")
    if headers is None:
        return {}
    if not isinstance(headers, dict):
        raise _UnusableError("its `headers` are no mapping")
    found: dict[str, tuple[str, ...]] = {}
    for name, given in headers.items():
        values = given if isinstance(given, list) else [given]
        if not all(isinstance(value, str | bytes | None) for value in values):
            raise _UnusableError(f"the header {name[:80]!r} is no text and no list of texts")
        lower = name.lower()
        found[lower] = found.get(lower, ()) + tuple(map(_header_text, values))
    return found


def _header_text(value: str | bytes | None) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value or ""


def _body_of(body: Any) -> bytes | None:
    if isinstance(body, dict):
        body = body.get("string")
    if isinstance(body, str):
        try:
            return body.encode()
        except UnicodeEncodeError as error:
            raise _UnusableError("its body holds a lone surrogate, which no bytes stand for") from error
    if body is None or isinstance(body, bytes):
        return body
    raise _UnusableError("its body is neither text nor base64 of bytes")


def _date_of(headers: Mapping[str, tuple[str, ...]]) -> str:
    """Return the instant of the `date` header (RFC 9110 section 6.6.1) as a recording keeps it, or nothing."""
    try:
        instant = parsedate_to_datetime(headers["date"][0])
        return instant.replace(tzinfo=instant.tzinfo or UTC).astimezone(UTC).isoformat().replace("+00:00", "Z")
    except (LookupError, ValueError, TypeError, OverflowError):
        return ""
