"""Closed sets of labels in a strict schema, and the one rule by which a near spelling counts as a label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from llmbatch.parse.strict import resolve

Labels = dict[str, Any]
"""The label as the model writes it (a string without its quotes), to the JSON value it stands for."""


def labels_of(node: Mapping[str, Any], root: Mapping[str, Any]) -> Labels:
    """Return the labels a node of a schema allows, in declared order; empty where its values are open."""
    node = resolve(node, root)
    if "enum" in node:
        return {_spelled(value): value for value in node["enum"]}
    if node.get("type") == "boolean":
        return {"true": True, "false": False}
    if node.get("type") == "null":
        return {"null": None}
    found: Labels = {}
    for option in node.get("anyOf", ()):
        inner = labels_of(option, root)
        if not inner:
            return {}
        found |= inner
    return found


def match_label(text: str, labels: Sequence[str]) -> str | None:
    """Return the label that a text is: exactly, or the only one that is the same but for case and spaces."""
    if text in labels:
        return text
    key = _folded(text)
    near = [label for label in labels if _folded(label) == key]
    return near[0] if len(near) == 1 else None


def with_exact_labels(value: Any, node: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """Return a JSON value in which every near spelling of a string label is the label itself.

    A value that may be one of several shapes is left as it is, unless only one of them is of its JSON type.
    """
    node = resolve(node, root)
    if "anyOf" in node:
        return _with_exact_option(value, node["anyOf"], root)
    if isinstance(value, str) and "enum" in node:
        labels = [label for label in node["enum"] if isinstance(label, str)]
        match = match_label(value, labels)
        return value if match is None else match
    if isinstance(value, dict) and "properties" in node:
        known = node["properties"]
        return {key: with_exact_labels(item, known[key], root) if key in known else item for key, item in value.items()}
    if isinstance(value, list) and "items" in node:
        return [with_exact_labels(item, node["items"], root) for item in value]
    return value


def _with_exact_option(value: Any, options: Sequence[Mapping[str, Any]], root: Mapping[str, Any]) -> Any:
    kind = "string" if isinstance(value, str) else "object" if isinstance(value, dict) else None
    kind = "array" if isinstance(value, list) else kind
    fitting = [option for option in options if _is_of_kind(resolve(option, root), kind)]
    return with_exact_labels(value, fitting[0], root) if len(fitting) == 1 else value


def _is_of_kind(node: Mapping[str, Any], kind: str | None) -> bool:
    declared = node.get("type")
    return kind is not None and (kind in declared if isinstance(declared, list) else declared == kind)


def _spelled(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _folded(text: str) -> str:
    return "".join(text.split()).casefold()
