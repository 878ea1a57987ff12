"""The schema of an answer as a form to fill in, for models that are told it in words.

A small model that sees a schema alone gives the schema back, and one that sees an example gives the example's values
back; a gap it fills in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from llmbatch.parse.strict import JsonSchema

_GAPS: Mapping[str, str] = {
    "string": '"<text>"',
    "integer": "<whole number>",
    "number": "<number>",
    "boolean": "<true or false>",
    "null": "null",
}
_REF = "#/$defs/"


def form_of(schema: JsonSchema) -> str:
    """Return the schema's shape on one line, JSON but for its gaps: `"<a or b>"` for labels, `<number>` and the like.

    The shapes that a value may have are joined by `or`; a shape inside itself stands as `<...>`.
    """
    return _form(schema, schema.get("$defs", {}), ())


def _form(node: Mapping[str, Any], definitions: Mapping[str, Any], inside: tuple[str, ...]) -> str:
    if "$ref" in node:
        name = node["$ref"].removeprefix(_REF)
        return "<...>" if name in inside else _form(definitions[name], definitions, (*inside, name))
    if "enum" in node:
        return _labels(node["enum"])
    if "anyOf" in node:
        return " or ".join(dict.fromkeys(_form(option, definitions, inside) for option in node["anyOf"]))
    if node["type"] == "object":
        members = (
            f"{_quoted(name)}: {_form(inner, definitions, inside)}" for name, inner in node["properties"].items()
        )
        return f"{{{', '.join(members)}}}"
    if node["type"] == "array":
        return f"[{_form(node['items'], definitions, inside)}, ...]"
    return _GAPS[node["type"]]


def _labels(values: list[Any]) -> str:
    if len(values) == 1:
        return _quoted(values[0])
    if all(isinstance(value, str) for value in values):
        return _quoted(f"<{' or '.join(values)}>")
    return f"<{' or '.join(map(_quoted, values))}>"


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
