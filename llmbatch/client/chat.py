"""The bytes of a chat completion request. Pure; knows no endpoint, no cassette and no network."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import orjson

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


def chat_body(
    model: str,
    messages: Sequence[Mapping[str, Any]],
    parameters: Mapping[str, Any],
    response_format: Mapping[str, Any] | None,
) -> bytes:
    """Return the JSON body as it is sent; the same arguments give the same bytes, for ever.

    They become the key.     Raises TaskError where a value has no JSON form.
    """
    body: dict[str, Any] = {"model": model, "messages": list(messages)}
    if response_format is not None:
        body["response_format"] = response_format
    body.update(parameters)
    try:
        return orjson.dumps(body)
    except TypeError as error:
        return _spelled_out(body, error)


def _spelled_out(body: Mapping[str, Any], reason: TypeError) -> bytes:
    """Write what orjson refuses and JSON allows: lone surrogates, integers above 64 bits."""
    try:
        return json.dumps(body, separators=(",", ":"), allow_nan=False).encode("ascii")
    except (TypeError, ValueError):
        raise TaskError(
            f"a request parameter or message has no JSON form: {reason}",
            fix="pass text, numbers, booleans, lists and dictionaries with text keys",
        ) from reason


def _checked_float(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TaskError(
            f"{name} is {value!r}, not a finite number",
            fix=f"pass {name}=0.7 or the like, or None to leave it out",
        )
    return float(value)
