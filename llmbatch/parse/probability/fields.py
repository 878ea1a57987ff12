"""Which places of an answer hold one of a closed set of labels, and how these are written. Knows no reply.

A place is written as an author thinks of it: `category`, `verdict.category`, `items[0].label`; `answer` where the
answer has no fields of its own.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from llmbatch.errors import TaskError
from llmbatch.parse.label_rules import DECLARED_NOWHERE, Rules
from llmbatch.parse.labels import spelled
from llmbatch.parse.naming import ANSWER
from llmbatch.parse.probability.locating import Path
from llmbatch.parse.probability.spelling import Form, JsonSpelling, Spelling, WordSpelling, told_apart
from llmbatch.parse.shape import VALUE, Shape
from llmbatch.parse.strict import resolve

_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")
_MOST_NUMBERS = 200  # a whole number within bounds is one of so many labels at most
_DEEPEST = 6
_ANY_CASE = frozenset({"case"})
_BARE_JSON = re.compile(r"-?\d+(?:\.\d+)?|true|false|null")
# what pydantic takes for a bool in place of JSON's own words
_TRUE = ("true", "yes", "on", "y", "t", "1")
_FALSE = ("false", "no", "off", "n", "f", "0")


@dataclass(frozen=True, slots=True)
class ClosedField:
    """A place of an answer where one of some labels stands.

    `labels` are written as the model writes them, a string without its quotes; `keys` lead to the place in the JSON,
    and `wanted` is what may be taken for JSON in prose.
    """

    path: str
    keys: Path
    labels: tuple[str, ...]
    json: Spelling
    word: Spelling
    wanted: Literal["object", "any"] = "object"


class _Node(NamedTuple):
    """A part of a schema, twice: with the keys of the JSON, and with the names of the author's class."""

    keyed: Mapping[str, Any]
    named: Mapping[str, Any]


class _Roots(NamedTuple):
    keyed: Mapping[str, Any]
    named: Mapping[str, Any]

    def options(self, node: _Node) -> list[_Node]:
        """Return all that a node may be: itself, or each option of a union."""
        node = _Node(resolve(node.keyed, self.keyed), resolve(node.named, self.named))
        for union in ("anyOf", "oneOf"):
            if union in node.keyed:
                inner = zip(node.keyed[union], node.named[union], strict=True)
                return [option for pair in inner for option in self.options(_Node(*pair))]
        return [node]


def closed_field(shape: Shape[Any], path: str) -> ClosedField:
    """Return the place that a path names. Raises TaskError, with the nearest one, where no labels are declared."""
    if shape.plain:
        raise TaskError(
            f"probability_of={path!r}: the answer is text, and any text may stand there",
            fix='give the ask a shape with labels: ask(Literal["yes", "no"], prompt, sample, probability_of="answer")',
        )
    roots = _roots(shape)
    steps, keys = _steps(path), list[str | int]()
    if shape.wrapped:
        steps = steps[1:] if steps[:1] in ([ANSWER], [VALUE]) else steps
        keys.append(VALUE)
    nodes = roots.options(_Node(roots.keyed, roots.named))
    for step in steps:
        found = [inner for node in nodes if (inner := _inside(node, step)) is not None]
        if not found:
            raise _not_there(shape, path)
        keys.append(found[0][0])
        nodes = [option for _, inner in found for option in roots.options(inner)]
    forms = _labels(nodes)
    if not forms:
        raise _not_there(shape, path, is_open=True)
    field = _field(path, tuple(keys), forms, _rules_at(shape.reading_schema, tuple(keys)))
    at_root = shape.json_schema["properties"][VALUE] if shape.wrapped else {}
    return replace(field, wanted="any" if at_root.get("type") == "array" or "anyOf" in at_root else "object")


def closed_paths(shape: Shape[Any]) -> list[str]:
    """Return every path that closed_field takes, the first place standing for all of a list."""
    roots = _roots(shape)
    found = _paths(roots, _Node(roots.keyed, roots.named), ANSWER if shape.wrapped else "", 0)
    return list(dict.fromkeys(found))


def _roots(shape: Shape[Any]) -> _Roots:
    adapter = shape.adapter
    return _Roots(adapter.json_schema(mode="validation"), adapter.json_schema(mode="validation", by_alias=False))


def _steps(path: str) -> list[str | int]:
    steps: list[str | int] = []
    at = 0
    while (step := _STEP.match(path, at)) is not None:
        steps.append(step[1] if step[1] is not None else int(step[2]))
        at = step.end()
    return steps if at == len(path) else [path]


def _inside(node: _Node, step: str | int) -> tuple[str | int, _Node] | None:
    """Return the JSON key and the node that a step leads to."""
    if isinstance(step, int):
        return (step, _Node(node.keyed["items"], node.named["items"])) if "items" in node.keyed else None
    for (key, keyed), (name, named) in _properties(node):
        if step in (name, key):
            return key, _Node(keyed, named)
    return None


def _properties(node: _Node) -> Iterator[tuple[tuple[str, Any], tuple[str, Any]]]:
    return zip(node.keyed.get("properties", {}).items(), node.named.get("properties", {}).items(), strict=True)


def _paths(roots: _Roots, node: _Node, path: str, depth: int) -> Iterator[str]:
    options = roots.options(node)
    if _labels(options):
        yield path
    for option in options if depth < _DEEPEST else ():
        if "items" in option.keyed:
            yield from _paths(roots, _Node(option.keyed["items"], option.named["items"]), f"{path}[0]", depth + 1)
        for (_, keyed), (name, named) in _properties(option):
            yield from _paths(roots, _Node(keyed, named), f"{path}.{name}" if path else name, depth + 1)


_Label = tuple[Any, Sequence[tuple[str, bool]]]
"""A label's JSON value, and other ways in which pydantic takes it: (text, whether a string)."""


def _labels(options: Sequence[_Node]) -> list[_Label]:
    """Return the labels of a place; empty where one of its options is open."""
    found: list[_Label] = []
    for option in options:
        node = option.keyed
        if "const" in node or "enum" in node:
            found += [(value, ()) for value in node.get("enum", [node.get("const")])]
        elif node.get("type") == "boolean":
            found += [(value, _other_bools(words)) for value, words in ((True, _TRUE), (False, _FALSE))]
        elif node.get("type") == "null":
            found.append((None, ()))
        elif (numbers := _numbers(node)) is not None:
            found += [(number, [(str(number), True)]) for number in numbers]
        else:
            return []
    return found


def _other_bools(words: Sequence[str]) -> list[tuple[str, bool]]:
    return [*((word, True) for word in words), (words[-1], False)]


def _numbers(node: Mapping[str, Any]) -> range | None:
    low = node.get("minimum", node.get("exclusiveMinimum", -2) + 1 if "exclusiveMinimum" in node else None)
    high = node.get("maximum", node.get("exclusiveMaximum", 0) - 1 if "exclusiveMaximum" in node else None)
    if node.get("type") != "integer" or low is None or high is None or not 0 <= high - low < _MOST_NUMBERS:
        return None
    return range(int(low), int(high) + 1, int(node.get("multipleOf", 1)))


def _field(path: str, keys: Path, found: Sequence[_Label], rules: Rules) -> ClosedField:
    labels: list[str] = []
    forms: list[Form] = []
    for value, others in found:
        text = spelled(value)
        if text not in labels:
            labels.append(text)
        place, quoted = labels.index(text), isinstance(value, str)
        forms.append(Form(text, place, quoted, rules.folds if quoted else frozenset()))
        forms += [Form(other, place, is_string, _ANY_CASE) for other, is_string in others]
    aliases = {
        alias: labels.index(label) for alias, target in rules.aliases.items() if (label := spelled(target)) in labels
    }
    said = [Form(alias, place, True, rules.folds) for alias, place in aliases.items()]
    bare = [Form(alias, place, quoted=False) for alias, place in aliases.items() if _BARE_JSON.fullmatch(alias)]
    words = [Form(label, place, True, rules.folds) for place, label in enumerate(labels)]
    json = JsonSpelling(told_apart([*forms, *said, *bare]))
    return ClosedField(path, keys, tuple(labels), json, WordSpelling(told_apart([*words, *said])))


def _rules_at(schema: Mapping[str, Any], keys: Path) -> Rules:
    """Return the rules by which a text counts as a label at a place, as they are declared on the way to it."""
    node, rules = _ruled(schema, schema, DECLARED_NOWHERE)
    for key in keys:
        options = [_ruled(option, schema, rules) for option in node.get("anyOf", ())] or [(node, rules)]
        inside = [
            _ruled(inner, schema, around)
            for option, around in options
            if (inner := option.get("items") if isinstance(key, int) else option.get("properties", {}).get(key))
            is not None
        ]
        if not inside:
            return rules
        node, rules = inside[0]
    return rules


def _ruled(node: Mapping[str, Any], root: Mapping[str, Any], rules: Rules) -> tuple[Mapping[str, Any], Rules]:
    definition = resolve(node, root)
    return definition, (rules if definition is node else rules.within(definition)).within(node)


def _not_there(shape: Shape[Any], path: str, *, is_open: bool = False) -> TaskError:
    known = closed_paths(shape)
    what = "is open: any value may stand there" if is_open else f"is no field of {shape.name}"
    if not known:
        return TaskError(
            f"probability_of={path!r} {what}, and {shape.name} has no field with a closed set of labels",
            fix='declare one as Literal["a", "b"], an Enum, bool, or int with Field(ge=1, le=5)',
        )
    near = difflib.get_close_matches(path, known, n=1, cutoff=0.3) or known[:1]
    return TaskError(
        f"probability_of={path!r} {what}",
        closed=", ".join(known[:20]),
        fix=f'write probability_of="{near[0]}"',
    )
