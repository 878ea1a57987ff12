"""How large a strict schema may be: the limits that OpenAI documents for structured outputs. Knows no Python type.

https://developers.openai.com/api/docs/guides/structured-outputs#supported-schemas, as of October 2026. What is counted
as a level is not documented; the service's refusals ("11 levels of nesting exceeds limit of 10") fit a count of the
steps from the root into properties and into items.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmbatch.parse.strict import JsonSchema, NotStrictError, nodes_of, resolve

MOST_LEVELS = 10
MOST_PROPERTIES = 5_000
MOST_LABELS = 1_000
MOST_CHARACTERS = 120_000
"""Of the names of properties and definitions, and of labels."""
MANY_LABELS = 250
MOST_CHARACTERS_OF_MANY = 15_000
"""Of the labels of one place that has more than MANY_LABELS."""


def check_limits(schema: JsonSchema, path: str) -> None:
    """Raise NotStrictError for a strict schema that is too large or too deep. `path` names the root."""
    properties, labels, characters = 0, 0, 0
    for where, node in nodes_of(schema, path):
        names = [*node.get("properties", ()), *node.get("$defs", ())]
        texts = [label for label in node.get("enum", ()) if isinstance(label, str)]
        properties += len(node.get("properties", ()))
        labels += len(node.get("enum", ()))
        characters += sum(map(len, names)) + sum(map(len, texts))
        if len(texts) > MANY_LABELS:
            _check(where, sum(map(len, texts)), MOST_CHARACTERS_OF_MANY, f"characters in its {len(texts)} labels")
    _check(path, properties, MOST_PROPERTIES, "properties")
    _check(path, labels, MOST_LABELS, "labels")
    _check(path, characters, MOST_CHARACTERS, "characters in its names and labels")
    levels, deepest = _Depth(schema).below(schema)
    _check(path + deepest, levels, MOST_LEVELS, "levels of nesting")


def _check(path: str, found: int, most: int, of_what: str) -> None:
    if found > most:
        reason = f"it has {found:,} {of_what}, and strict schemas take {most:,}"
        raise NotStrictError(path, reason, "ask for less at once, in two asks for instance, or make it flatter")


class _Depth:
    """How deep a schema is, each definition looked at once."""

    def __init__(self, root: JsonSchema) -> None:
        self.root = root
        self.known: dict[str, tuple[int, str]] = {}

    def below(self, node: Mapping[str, Any]) -> tuple[int, str]:
        """Return the number of steps to the deepest place below a node, and the way there; a circle is no step."""
        name = node.get("$ref")
        if name is not None:
            if name not in self.known:
                self.known[name] = 0, ""
                self.known[name] = self.below(resolve(node, self.root))
            return self.known[name]
        ways = [self.below(option) for option in node.get("anyOf", ())]
        steps = [(f".{key}", inner) for key, inner in node.get("properties", {}).items()]
        if "items" in node:
            steps.append(("[]", node["items"]))
        for step, inner in steps:
            levels, way = self.below(inner)
            ways.append((levels + 1, step + way))
        return max(ways, key=lambda way: way[0], default=(0, ""))
