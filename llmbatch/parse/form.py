"""The schema of an answer as a form to fill in, for models that are told it in words.

A small model that sees a schema alone tends to give the schema back; beside a form it fills the form in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from llmbatch.parse.strict import JsonSchema

_PLACEHOLDERS: Mapping[str, Any] = {"string": "...", "integer": 0, "number": 0.0, "boolean": True, "null": None}
_REF = "#/$defs/"


def form_of(schema: JsonSchema) -> str:
    """Return JSON of the schema's shape on one line: labels as `a | b`, other values as placeholders.

    Of several shapes that a value may have it shows the first that is not null, and a shape inside itself as null
    or an empty list.
    """
    return json.dumps(_form(schema, schema.get("$defs", {}), ()), ensure_ascii=False)


def _form(node: Mapping[str, Any], definitions: Mapping[str, Any], inside: tuple[str, ...]) -> Any:
    if "$ref" in node:
        name = node["$ref"].removeprefix(_REF)
        return None if name in inside else _form(definitions[name], definitions, (*inside, name))
    if "enum" in node:
        return _labels(node["enum"])
    if "anyOf" in node:
        options = [_form(option, definitions, inside) for option in node["anyOf"]]
        return next((option for option in options if option is not None), None)
    if node["type"] == "object":
        return {name: _form(inner, definitions, inside) for name, inner in node["properties"].items()}
    if node["type"] == "array":
        item = _form(node["items"], definitions, inside)
        return [] if item is None else [item]
    return _PLACEHOLDERS[node["type"]]


def _labels(values: list[Any]) -> Any:
    """Return all labels where they are text; of others the first, since a list of them in quotes would be text."""
    if all(isinstance(value, str) for value in values):
        return " | ".join(values)
    return values[0]
