"""Closed sets of labels in a strict schema. Knows no text of a model and no rules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from llmbatch.parse.strict import resolve

Labels = dict[str, Any]
"""The label as the model writes it (a string without its quotes), to the JSON value it stands for."""


def labels_of(node: Mapping[str, Any], root: Mapping[str, Any]) -> Labels:
    """Return the labels a node of a schema allows, in declared order; empty where its values are open."""
    node = resolve(node, root)
    if "enum" in node:
        return {spelled(value): value for value in node["enum"]}
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


def spelled(value: Any) -> str:
    """Return a label as it is written without quotes."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
