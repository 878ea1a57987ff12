"""Front matter of a prompt: the system message and the shots, as YAML. Knows neither the text below it nor its folder.

Only YAML's nodes are read, so no object is ever built; aliases and depth are refused while the text is scanned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import NamedTuple

import yaml

from llmbatch.errors import PromptError
from llmbatch.prompt.text import trimmed
from llmbatch.samples.location import joined

_KEYS = ("system", "shots")
_SHOT_KEYS = ("user", "assistant")
_NULL = "tag:yaml.org,2002:null"
# `system: 42` and `user: yes` are texts here, so every plain scalar is taken as it is written
_TEXT_TAGS = {_NULL, *(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "timestamp"))}
_DEEPEST = 3  # the mapping, the list of shots, a shot
_FIRST_LINE = 2  # of the front matter within the file, after its ---


class Said(NamedTuple):
    """What one turn says, and the line of the file at which it starts."""

    role: str
    text: str
    line: int


def read_front_matter(text: str, place: str, default_system: str) -> list[Said]:
    """Return the system turn (none for null or an empty text) and the turns of the shots. Raises PromptError."""
    node = _composed(text, place)
    system: Said | None = Said("system", default_system, 1)
    shots: list[Said] = []
    for key, value, at in _members(node, _KEYS, place) if node is not None else ():
        if key == "system":
            system = _scalar(value, key, at)
        elif not isinstance(value, yaml.SequenceNode):
            fix = "write - user: ... and assistant: ... below it"
            raise PromptError("`shots` is not a list", place=at, fix=fix)
        else:
            for shot in value.value:
                shots += _shot(shot, place)
    return shots if system is None else [system, *shots]


def _composed(text: str, place: str) -> yaml.Node | None:
    try:
        _check_flat(text, place)
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise PromptError(
            f"the front matter is not YAML: {problem}",
            place=f"{place}:{_FIRST_LINE + (mark.line if mark else 0)}",
            fix="quote the value, or write it as a block after |",
        ) from None


def _check_flat(text: str, place: str) -> None:
    """Raise PromptError for aliases and for depth beyond a shot, before any of it is put together."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        mark = event.start_mark
        at = f"{place}:{_FIRST_LINE + (mark.line if mark else 0)}"
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise PromptError("anchors and aliases are not for prompts", place=at, fix="write the text out")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            raise PromptError(
                "a list or mapping where a text belongs", place=at, fix="write the text after |, indented"
            )


def _shot(node: yaml.Node, place: str) -> Iterator[Said]:
    found = {key: _scalar(value, key, at) for key, value, at in _members(node, _SHOT_KEYS, place)}
    for role in _SHOT_KEYS:
        said = found.get(role)
        if said is None:
            line = node.start_mark.line + _FIRST_LINE
            raise PromptError(f"this shot has no `{role}`", place=f"{place}:{line}", fix=f"add {role}: ...")
        yield said._replace(role=role)


def _members(node: yaml.Node, keys: Sequence[str], place: str) -> Iterator[tuple[str, yaml.Node, str]]:
    """Yield key, value and place of each member. Raises PromptError for a key unknown or twice."""
    if not isinstance(node, yaml.MappingNode):
        at = f"{place}:{node.start_mark.line + _FIRST_LINE}"
        raise PromptError("this is not a mapping", place=at, fix=f"write {keys[0]}: ...")
    seen = set()
    for key_node, value in node.value:
        key = str(key_node.value)
        at = f"{place}:{key_node.start_mark.line + _FIRST_LINE}"
        if key not in keys:
            near = get_close_matches(key, keys, n=1)
            fix = f"write {near[0]}" if near else "remove it; the model and its settings belong to the task"
            raise PromptError(f"unknown key `{key}`", place=at, known=joined(keys), fix=fix)
        if key in seen:
            raise PromptError(f"`{key}` is there twice", place=at, fix="keep one of the two")
        seen.add(key)
        yield key, value, at


def _scalar(node: yaml.Node, key: str, at: str) -> Said | None:
    """Return the text as written; None for null and for an empty text."""
    if not isinstance(node, yaml.ScalarNode) or node.tag not in _TEXT_TAGS:
        raise PromptError(f"`{key}` is not a text", place=at, fix="write the text after |, indented")
    if node.tag == _NULL:
        return None
    is_block = node.style in {"|", ">"}  # its text starts on the line after the sign
    text, line = trimmed(node.value, node.start_mark.line + _FIRST_LINE + is_block)
    return Said(key, text, line) if text else None
