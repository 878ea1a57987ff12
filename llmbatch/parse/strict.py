"""A pydantic JSON schema made strict: the subset that constrained decoding takes. Knows no Python type.

The rules are those of OpenAI's structured outputs: an object at the root, every property required, nothing
besides, and few keywords. What is dropped here
(lengths, patterns, ranges, defaults) validation still enforces.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llmbatch.parse.json_schema import REFUSED

JsonSchema = dict[str, Any]

_SCALARS = ("string", "integer", "number", "boolean", "null")
_JSON_NAMES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
_REF = "#/$defs/"


class NotStrictError(Exception):
    """A part of a schema that strict mode cannot carry: where, why, and what to write instead."""

    def __init__(self, path: str, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.path = path
        self.reason = reason
        self.fix = fix


def strict_schema(schema: Mapping[str, Any], path: str, kept: Sequence[str] = ()) -> JsonSchema:
    """Return the strict form, keys in a fixed order, `$defs` last. Raises NotStrictError.

    `kept` are further keywords that stay where they stand, also beside a `$ref`: such a schema is not for sending.

    `path` names the root in messages. A description beside a `$ref` is kept by writing the definition out,
    since nothing may stand beside a `$ref`; where the definition is recursive, the description is dropped.
    """
    builder = _Builder(schema.get("$defs", {}), kept)
    root = builder.node({key: value for key, value in schema.items() if key != "$defs"}, path)
    if "$ref" in root:  # a recursive model: strict mode wants the object itself at the root
        root = builder.built[root.pop("$ref").removeprefix(_REF)] | root
    used = {name: builder.built[name] for name in builder.needed_by(root)}
    return {**root, "$defs": used} if used else root


def resolve(node: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the definition a node refers to, or the node."""
    reference = node.get("$ref")
    if reference is None:
        return node
    definition: Mapping[str, Any] = root["$defs"][reference.removeprefix(_REF)]
    return definition


def nodes_of(node: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each node that is written inside a node of a strict schema, itself included, with its path."""
    yield path, node
    for key, inner in node.get("properties", {}).items():
        yield from nodes_of(inner, f"{path}.{key}")
    for name, inner in node.get("$defs", {}).items():
        yield from nodes_of(inner, name)
    for inner in node.get("anyOf", ()):
        yield from nodes_of(inner, path)
    if "items" in node:
        yield from nodes_of(node["items"], f"{path}[]")


def _open(schema: Mapping[str, Any], path: str) -> NotStrictError:
    combined = next((key for key in ("allOf", "not", "if") if key in schema), None)
    if combined is not None:
        return NotStrictError(
            path, f"its schema says `{combined}`, which strict schemas do not", "write the type plainly"
        )
    return NotStrictError(path, "its type is open (Any)", "name the type, for example str or list[str]")


class _Builder:
    def __init__(self, definitions: Mapping[str, Any], kept: Sequence[str]) -> None:
        self.definitions = definitions
        self.kept = kept
        self.built: dict[str, JsonSchema] = {}

    def node(self, schema: Mapping[str, Any], path: str) -> JsonSchema:
        if "$ref" in schema:
            return self._reference(schema, path)
        if REFUSED in schema:
            raise NotStrictError(path, *schema[REFUSED])
        if schema.get("writeOnly"):
            raise NotStrictError(
                path, "it is a secret, of which a row shows nothing but stars", "write str in its place"
            )
        made: JsonSchema = {}
        if "const" in schema:
            schema = {**schema, "enum": [schema["const"]]}
        options = schema.get("anyOf", schema.get("oneOf"))
        if "enum" in schema:
            made |= _enumeration(schema["enum"], path)
        elif options is not None:
            made["anyOf"] = [self.node(option, path) for option in options]
        elif schema.get("type") == "object":
            made |= self._object(schema, path)
        elif schema.get("type") == "array":
            made |= self._array(schema, path)
        elif schema.get("type") in _SCALARS:
            made["type"] = schema["type"]
        else:
            raise _open(schema, path)
        if isinstance(schema.get("description"), str):
            made = {**made, "description": schema["description"]}
        return made | self._kept_of(schema)

    def _kept_of(self, schema: Mapping[str, Any]) -> JsonSchema:
        return {key: schema[key] for key in self.kept if key in schema}

    def _reference(self, schema: Mapping[str, Any], path: str) -> JsonSchema:
        name = schema["$ref"].removeprefix(_REF)
        if name not in self.built:
            self.built[name] = {}  # stands for itself while its own members are built
            self.built[name] |= self.node(self.definitions[name], path)
        if isinstance(schema.get("description"), str) and not self._is_recursive(name):
            return {**self.built[name], "description": schema["description"]} | self._kept_of(schema)
        return {"$ref": _REF + name} | self._kept_of(schema)

    def _object(self, schema: Mapping[str, Any], path: str) -> JsonSchema:
        properties = schema.get("properties")
        if properties == {}:
            raise NotStrictError(path, "it has no fields", "give it one, or take it away")
        if not properties:
            raise NotStrictError(
                path,
                "it is an open mapping, whose keys are not known",
                "write a model with its fields, or list[Pair] with a model of a key and a value",
            )
        return {
            "type": "object",
            "properties": {key: self.node(inner, f"{path}.{key}") for key, inner in properties.items()},
            "required": list(properties),
            "additionalProperties": False,
        }

    def _array(self, schema: Mapping[str, Any], path: str) -> JsonSchema:
        if "prefixItems" in schema:
            raise NotStrictError(path, "it is a tuple of fixed places", "write a model with a field for each place")
        if schema.get("uniqueItems"):
            raise NotStrictError(path, "it is a set, and a set has no order", "write list[...] in its place")
        return {"type": "array", "items": self.node(schema.get("items", {}), f"{path}[]")}

    def _is_recursive(self, name: str) -> bool:
        seen: set[str] = set()
        waiting = list(_references(self.definitions[name]))
        while waiting:
            other = waiting.pop()
            if other == name:
                return True
            if other not in seen:
                seen.add(other)
                waiting.extend(_references(self.definitions[other]))
        return False

    def needed_by(self, root: Mapping[str, Any]) -> list[str]:
        """Return the definitions that are reached from the root, in order of first mention."""
        order: list[str] = []
        waiting = list(_references(root))
        while waiting:
            name = waiting.pop(0)
            if name not in order:
                order.append(name)
                waiting.extend(_references(self.built[name]))
        return order


def _references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        reference = node.get("$ref")
        if isinstance(reference, str):
            yield reference.removeprefix(_REF)
        for inner in node.values():
            yield from _references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _references(inner)


def _enumeration(values: list[Any], path: str) -> JsonSchema:
    if not values:
        raise NotStrictError(path, "it is an Enum without members", "give it the labels that an answer may have")
    if not all(type(value) in _JSON_NAMES for value in values):
        raise NotStrictError(path, "its values are not scalars", "give the enum strings or numbers")
    kinds = list(dict.fromkeys(_JSON_NAMES[type(value)] for value in values))
    return {"type": kinds[0] if len(kinds) == 1 else kinds, "enum": values}
