"""Reading near spellings as the labels they stand for, by the rules of the place where they were said.

Knows how a schema nests, and no text around the JSON. Everything that is changed is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from llmbatch.parse.label_rules import DECLARED_NOWHERE, Rules
from llmbatch.parse.labels import Labels, labels_of, spelled
from llmbatch.parse.strict import resolve


class Change(NamedTuple):
    """What was read as a label: where it stands, what was said, and the label."""

    location: tuple[int | str, ...]
    said: Any
    label: str


def with_exact_labels(value: Any, schema: Mapping[str, Any]) -> tuple[Any, list[Change]]:
    """Return a JSON value in which what the schema's rules take for a label is that label, and what was changed.

    A value that may be one of several shapes is left as it is, unless its type or a label of its own tells which.
    """
    reader = _Reader(schema)
    return reader.read(value, schema, DECLARED_NOWHERE, ()), reader.changes


def label_of_word(text: str, schema: Mapping[str, Any], key: str) -> str | None:
    """Return the label of a property, in whatever type, that a bare text stands for."""
    reader = _Reader(schema)
    node, rules = reader.inside(schema, DECLARED_NOWHERE)
    node, rules = reader.inside(node["properties"][key], rules)
    return _Matcher({label: label for label in labels_of(node, schema)}, rules).match(text)


class _Matcher:
    """The labels of one place, and all that counts as one of them."""

    def __init__(self, labels: Labels, rules: Rules) -> None:
        targets = {alias: label for alias, target in rules.aliases.items() if (label := spelled(target)) in labels}
        # a number in quotes is no number: only an alias may stand for a label of another type
        texts = [label for label, stands_for in labels.items() if isinstance(stands_for, str)]
        self.labels = labels
        self.rules = rules
        self.exact = {**targets, **{label: label for label in texts}}
        self.near: dict[str, set[str]] = {}
        for text, label in self.exact.items():
            self.near.setdefault(rules.folded(text), set()).add(label)

    def match(self, text: str) -> str | None:
        if text in self.exact:
            return self.exact[text]
        near = self.near.get(self.rules.folded(text), ())
        return next(iter(near)) if len(near) == 1 else None


class _Reader:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root
        self.changes: list[Change] = []
        self._rules: dict[tuple[int, int], Rules] = {}
        self._matchers: dict[tuple[int, int], _Matcher] = {}

    def read(self, value: Any, node: Mapping[str, Any], rules: Rules, at: tuple[int | str, ...]) -> Any:
        node, rules = self.inside(node, rules)
        if isinstance(value, dict) and "properties" in node:
            known = node["properties"]
            return {
                key: self.read(item, known[key], rules, (*at, key)) if key in known else item
                for key, item in value.items()
            }
        if isinstance(value, list) and "items" in node:
            return [self.read(item, node["items"], rules, (*at, index)) for index, item in enumerate(value)]
        matcher = None if isinstance(value, dict | list) else self._matcher(node, rules)
        if matcher is not None and matcher.labels:
            return self._label(value, matcher, at)
        if "anyOf" in node:
            fitting = [option for option in node["anyOf"] if self._may_be(value, option, rules)]
            return self.read(value, fitting[0], rules, at) if len(fitting) == 1 else value
        return value

    def inside(self, node: Mapping[str, Any], rules: Rules) -> tuple[Mapping[str, Any], Rules]:
        """Return what a node is, and its rules: the same objects each time, since they are looked up by identity."""
        definition = resolve(node, self.root)
        key = id(node), id(rules)
        if key not in self._rules:
            around = rules if definition is node else rules.within(definition)
            self._rules[key] = around.within(node)
        return definition, self._rules[key]

    def _matcher(self, node: Mapping[str, Any], rules: Rules) -> _Matcher:
        key = id(node), id(rules)
        if key not in self._matchers:
            self._matchers[key] = _Matcher(labels_of(node, self.root), rules)
        return self._matchers[key]

    def _label(self, value: Any, matcher: _Matcher, at: tuple[int | str, ...]) -> Any:
        said = spelled(value)
        if isinstance(value, str):
            found = matcher.match(value)
        else:
            found = None if said in matcher.labels else matcher.exact.get(said)
        if found is None or matcher.labels[found] == value:
            return value
        self.changes.append(Change(at, value, found))
        return matcher.labels[found]

    def _may_be(self, value: Any, option: Mapping[str, Any], rules: Rules) -> bool:
        option, rules = self.inside(option, rules)
        if "anyOf" in option:
            return any(self._may_be(value, inner, rules) for inner in option["anyOf"])
        kind = "object" if isinstance(value, dict) else "array" if isinstance(value, list) else "string"
        declared = option.get("type")
        if not (kind in declared if isinstance(declared, list) else declared == kind):
            return False
        tags = {key: inner for key, inner in option.get("properties", {}).items() if len(inner.get("enum", ())) == 1}
        return not isinstance(value, dict) or all(
            isinstance(value.get(key), str) and self._matcher(*self.inside(tag, rules)).match(value[key]) is not None
            for key, tag in tags.items()
        )
