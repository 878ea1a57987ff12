"""What a service with strict schemas refuses in one: the documented rules of structured outputs, read by themselves.

Nothing of llmbatch is imported, so that a test can hold its schemas to this.
https://developers.openai.com/api/docs/guides/structured-outputs#supported-schemas
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_KEYWORDS = {"type", "properties", "required", "additionalProperties", "items", "anyOf", "enum", "$ref", "description"}
_TYPES: dict[str, Any] = {"string": str, "number": (int, float), "integer": int, "boolean": bool, "null": type(None)}


def broken_rules(schema: dict[str, Any]) -> list[str]:
    """Return each rule that a schema breaks, with the place; none for a schema that a service takes."""
    definitions = schema.get("$defs", {})
    root = {key: inner for key, inner in schema.items() if key != "$defs"}
    found = [] if root.get("type") == "object" else ["the root is no object"]
    found += _broken(root, "#", definitions)
    for name, inner in definitions.items():
        found += _broken(inner, f"#/$defs/{name}", definitions)
    return found + list(_beyond_limits(schema))


def _broken(node: dict[str, Any], at: str, definitions: dict[str, Any]) -> Iterator[str]:
    yield from (f"{at} says {key}" for key in node if key not in _KEYWORDS)
    if "$ref" in node:
        if len(node) > 1 or node["$ref"].removeprefix("#/$defs/") not in definitions:
            yield f"{at} refers to nothing, or has something beside it"
        return
    if "anyOf" in node:
        for place, option in enumerate(node["anyOf"]):
            yield from _broken(option, f"{at}/anyOf/{place}", definitions)
        return
    if node.get("type") == "object":
        properties = node.get("properties", {})
        if not properties or node.get("required") != list(properties):
            yield f"{at} does not require just its properties"
        if node.get("additionalProperties") is not False:
            yield f"{at} is open"
        for key, inner in properties.items():
            yield from _broken(inner, f"{at}/{key}", definitions)
    elif node.get("type") == "array":
        yield from _broken(node.get("items", {}), f"{at}/items", definitions)
    else:
        yield from _broken_scalar(node, at)


def _broken_scalar(node: dict[str, Any], at: str) -> Iterator[str]:
    named = node.get("type", [])
    named = [named] if isinstance(named, str) else named
    if not named or not set(named) <= set(_TYPES):
        yield f"{at} is of no known type"
    elif not all(any(_is_of(value, kind) for kind in named) for value in node.get("enum", [])):
        yield f"{at} allows a value of another type"


def _is_of(value: object, kind: str) -> bool:
    return isinstance(value, _TYPES[kind]) and isinstance(value, bool) == (kind == "boolean")


def _beyond_limits(schema: dict[str, Any]) -> Iterator[str]:
    nodes = list(_nodes(schema))
    labels = [node["enum"] for node in nodes if "enum" in node]
    names = [name for node in nodes for name in (*node.get("properties", ()), *node.get("$defs", ()))]
    texts = [label for each in labels for label in each if isinstance(label, str)]
    if sum(len(node.get("properties", ())) for node in nodes) > 5_000:
        yield "more than 5,000 properties"
    if sum(map(len, labels)) > 1_000:
        yield "more than 1,000 labels"
    if sum(map(len, [*names, *texts])) > 120_000:
        yield "more than 120,000 characters"
    if _levels(schema, schema.get("$defs", {}), frozenset()) > 10:
        yield "more than 10 levels"


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    inner = [*node.get("properties", {}).values(), *node.get("$defs", {}).values(), *node.get("anyOf", [])]
    for each in [*inner, *([node["items"]] if "items" in node else [])]:
        yield from _nodes(each)


def _levels(node: dict[str, Any], definitions: dict[str, Any], above: frozenset[str]) -> int:
    if "$ref" in node:
        name = node["$ref"].removeprefix("#/$defs/")
        return 0 if name in above else _levels(definitions[name], definitions, above | {name})
    below = [*node.get("properties", {}).values(), *([node["items"]] if "items" in node else [])]
    deeper = [1 + _levels(inner, definitions, above) for inner in below]
    return max([*deeper, *(_levels(option, definitions, above) for option in node.get("anyOf", []))], default=0)
