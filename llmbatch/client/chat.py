"""The bytes of a chat completion request. Pure; knows no endpoint, no cassette and no network."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from llmbatch.call.key import canonical_body
from llmbatch.errors import TaskError

BUILT_IN_PARAMETERS: Mapping[str, Any] = MappingProxyType({"temperature": 0.0, "top_p": 0.001, "max_tokens": 500})
SAMPLING_TOP_P = 1.0
_SENT_AS_FLOATS = ("temperature", "top_p")
_NOT_PARAMETERS = ("model", "messages")


def resolve_parameters(defaults: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request parameters: built in, then the endpoint's and model's, then the ask's own.

    None takes a parameter out. Where a temperature above 0 is asked for and no top_p, top_p is 1: the
    built-in one would undo the temperature. `max_completion_tokens` takes the place of the built-in
    `max_tokens`, since services refuse the two together. Raises TaskError for a value that no service can be sent.
    """
    chosen = {**defaults, **options}
    parameters = {**BUILT_IN_PARAMETERS, **chosen}
    for name in _NOT_PARAMETERS:
        if name in chosen:
            raise TaskError(
                f"`{name}` is not a request parameter", fix=f"remove `{name}` from the options and defaults"
            )
    for name in _SENT_AS_FLOATS:
        if parameters[name] is not None:
            parameters[name] = _checked_float(name, parameters[name])
    if "top_p" not in chosen and (parameters["temperature"] or 0.0) > 0:
        parameters["top_p"] = SAMPLING_TOP_P
    if chosen.get("max_completion_tokens") is not None and "max_tokens" not in chosen:
        del parameters["max_tokens"]
    return {name: value for name, value in parameters.items() if value is not None}


class Body(NamedTuple):
    """The body of a request: as it is sent, and as it stands in the key (call.key.canonical_body of `wire`)."""

    wire: bytes
    canonical: bytes


_body: Callable[[tuple[bytes, bytes]], Body] = partial(tuple.__new__, Body)  # a third of the time of Body(...)


class Envelope:
    """All of a chat request but its messages, written out once for the many requests that differ in these alone.

    `around` raises TaskError where a value has no JSON form.
    """

    def __init__(
        self, model: str, parameters: Mapping[str, Any], shape_members: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        self._model = model
        self._rest: dict[str, Any] = {**shape_members, **parameters}
        self._wire: tuple[bytes, bytes] | None = None
        self._canonical: tuple[bytes, bytes] | None = None
        with suppress(TypeError):  # what orjson refuses is spelled out, body by body
            members = {"model": model, **self._rest}
            self._wire = _cut({"model": model}, self._rest)
            self._canonical = _cut(
                {name: members[name] for name in sorted(members) if name < "messages"},
                {name: members[name] for name in sorted(members) if name > "messages"},
            )

    def around(self, messages: Sequence[Mapping[str, Any]]) -> Body:
        """Return the body with these messages; equal ones give the same bytes, for ever. They become the key."""
        if self._wire is not None and self._canonical is not None:
            try:
                said = orjson.dumps(messages)
                return _body((said.join(self._wire), said.join(self._canonical)))
            except TypeError:  # a lone surrogate, or an integer above 64 bits
                pass
        wire = self._spelled_out(messages)
        return Body(wire, canonical_body(wire, None))

    def canonical(self, messages: Sequence[Mapping[str, Any]]) -> bytes | None:
        """Return the canonical part of `around` alone; None for messages that have to be spelled out."""
        if self._canonical is None:
            return None
        try:
            return orjson.dumps(messages).join(self._canonical)
        except TypeError:
            return None

    def _spelled_out(self, messages: Sequence[Mapping[str, Any]]) -> bytes:
        """Write what orjson refuses and JSON allows: lone surrogates, integers above 64 bits."""
        body = {"model": self._model, "messages": list(messages), **self._rest}
        try:
            return json.dumps(body, separators=(",", ":"), allow_nan=False).encode("ascii")
        except (TypeError, ValueError) as error:
            raise TaskError(
                f"a request parameter or message has no JSON form: {error}",
                fix="pass text, numbers, booleans, lists and dictionaries with text keys",
            ) from error


def _cut(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """Return the JSON of a body in two pieces, the messages missing between them. Raises TypeError."""
    head, tail = orjson.dumps(before)[1:-1], orjson.dumps(after)[1:-1]
    return b"{" + (head + b"," if head else b"") + b'"messages":', (b"," + tail if tail else b"") + b"}"


def _checked_float(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TaskError(
            f"{name} is {value!r}, not a finite number",
            fix=f"pass {name}=0.7 or the like, or None to leave it out",
        )
    return float(value)
