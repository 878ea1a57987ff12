"""The rules by which a text counts as a label that it is not: declared by the author, checked before anything is asked.

They stand beside a type, in pydantic's `json_schema_extra`, hold for all that is inside it, and are never sent. What
nobody declares is DECLARED_NOWHERE.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from llmbatch.parse.labels import labels_of, spelled
from llmbatch.parse.strict import NotStrictError, nodes_of, resolve

ALIASES = "label_aliases"
"""Other words for labels: `{"bugfix": "corrective"}`."""
MATCH = "label_match"
"""What may differ from a label: some of FOLDS, all of them where nothing is declared."""
RULES = (ALIASES, MATCH)
FOLDS = ("case", "spaces")


class Rules(NamedTuple):
    """The rules that hold at one place of a schema."""

    folds: frozenset[str] = frozenset(FOLDS)
    aliases: Mapping[str, Any] = MappingProxyType({})

    def within(self, node: Mapping[str, Any]) -> Rules:
        """Return the rules inside a node: its own word beats that of what is around it."""
        aliases, match = node.get(ALIASES), node.get(MATCH)
        if aliases is None and match is None:
            return self
        folds = self.folds if match is None else frozenset(match)
        return Rules(folds, {**self.aliases, **(aliases or {})})

    def folded(self, text: str) -> str:
        """Return what two texts share that differ only in what may differ."""
        text = "".join(text.split()) if "spaces" in self.folds else text
        return text.casefold() if "case" in self.folds else text


DECLARED_NOWHERE = Rules()


def check_rules(schema: Mapping[str, Any], path: str) -> None:
    """Raise NotStrictError for a rule that is none, or that stands for no label or for two. `path` names the root."""
    for where, node in nodes_of(schema, path):
        if ALIASES in node or MATCH in node:
            _check_match(node, where)
            _check_aliases(node, schema, where)


def _check_match(node: Mapping[str, Any], path: str) -> None:
    match = node.get(MATCH, [])
    if not isinstance(match, list) or not set(map(str, match)) <= set(FOLDS):
        known = ", ".join(f'"{fold}"' for fold in FOLDS)
        raise NotStrictError(path, f"its {MATCH} is {match!r}", f"give a list of some of {known}, or an empty one")


def _check_aliases(node: Mapping[str, Any], root: Mapping[str, Any], path: str) -> None:
    aliases = node.get(ALIASES, {})
    if not isinstance(aliases, dict):
        raise NotStrictError(path, f"its {ALIASES} are no mapping", f'write {{"{ALIASES}": {{"other word": "label"}}}}')
    labels = {label for inner in _reached(node, root) for label in labels_of(inner, root)}
    rules = DECLARED_NOWHERE.within(node)
    meanings: dict[str, set[str]] = {}
    for text, target in [*((label, label) for label in labels), *aliases.items()]:
        meanings.setdefault(rules.folded(text), set()).add(spelled(target))
    for alias, target in aliases.items():
        if spelled(target) not in labels:
            known = ", ".join(sorted(labels)) or "there are none"
            reason = f"its alias {alias!r} stands for {target!r}, which is no label"
            raise NotStrictError(path, reason, f"name one of the labels: {known}")
        others = meanings[rules.folded(alias)] - {spelled(target)}
        if others:
            reason = f"its alias {alias!r} stands for {spelled(target)!r}, and can be read as {min(others)!r} as well"
            raise NotStrictError(path, reason, f'choose another word, or a narrower "{MATCH}"')


def _reached(node: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield each node that is inside a node or is referred to there, once."""
    waiting, seen = [node], set[int]()
    while waiting:
        for _, inner in nodes_of(waiting.pop(), ""):
            if id(inner) not in seen:
                seen.add(id(inner))
                yield inner
                if "$ref" in inner:
                    waiting.append(resolve(inner, root))
