"""What the model would say: answers that are a function of a seed, and conform to the schema that was asked for."""

from __future__ import annotations

import hashlib
import math
import re
from typing import Any

import orjson

_WORDS = ("parser", "cache", "index", "retry", "socket", "branch", "merge", "build", "token", "queue", "frame", "patch")


class Dice:
    """An endless supply of numbers that depend on the seed alone."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._thrown = 0

    def pick(self, number: int) -> int:
        """Return a number from 0 to `number` - 1."""
        self._thrown += 1
        digest = hashlib.blake2b(f"{self._seed}:{self._thrown}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % max(1, number)

    def words(self, number: int) -> str:
        return " ".join(_WORDS[self.pick(len(_WORDS))] for _ in range(number))


def instance_of(schema: dict[str, Any], dice: Dice, definitions: dict[str, Any], depth: int = 0) -> Any:
    """Return a value that conforms to a JSON schema of the kind that strict mode allows."""
    if "$ref" in schema:
        return instance_of(definitions[schema["$ref"].rsplit("/", 1)[-1]], dice, definitions, depth + 1)
    if "enum" in schema or "const" in schema:
        labels = schema.get("enum", [schema.get("const")])
        return labels[dice.pick(len(labels))]
    if options := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
        if depth > 8:
            options = [option for option in options if option.get("type") == "null"] or options
        return instance_of(options[dice.pick(len(options))], dice, definitions, depth + 1)
    kind = schema.get("type", "string")
    kind = kind[dice.pick(len(kind))] if isinstance(kind, list) else kind
    if kind == "object":
        return {
            name: instance_of(inner, dice, definitions, depth + 1)
            for name, inner in schema.get("properties", {}).items()
        }
    if kind == "array":
        least = schema.get("minItems", 0 if depth > 8 else 1)
        number = min(schema.get("maxItems", 3), least + dice.pick(3)) if depth <= 8 else least
        items = schema.get("items", {})
        return [instance_of(items, dice, definitions, depth + 1) for _ in range(number)]
    return _scalar(kind, schema, dice)


def _scalar(kind: str, schema: dict[str, Any], dice: Dice) -> Any:
    low = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
    high = schema.get("maximum", schema.get("exclusiveMaximum", low + 100))
    if kind == "integer":
        return math.ceil(low) + dice.pick(math.floor(high) - math.ceil(low) + 1)
    if kind == "number":
        return low + (high - low) * dice.pick(1000) / 1000
    if kind == "boolean":
        return bool(dice.pick(2))
    if kind == "null":
        return None
    return dice.words(2 + dice.pick(4)).ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength", 200)]


def text_of(messages: Any) -> str:
    """Return all user text of a chat, or the text of a plain input."""
    if isinstance(messages, str):
        return messages
    if isinstance(messages, list):
        turns = [turn if isinstance(turn, str) else turn.get("content") for turn in messages if not _is_system(turn)]
        return "\n".join(turn if isinstance(turn, str) else orjson.dumps(turn).decode() for turn in turns if turn)
    return ""


def _is_system(turn: Any) -> bool:
    return isinstance(turn, dict) and turn.get("role") not in {None, "user"}


def content_of(body: dict[str, Any], text: str, dice: Dice) -> str:
    """Return what the model says: an object of the schema that was sent or shown, else a sentence."""
    response_format = body.get("response_format") or {}
    schema = (response_format.get("json_schema") or {}).get("schema") or _schema_in(text)
    if schema is not None:
        definitions = schema.get("$defs") or schema.get("definitions") or {}
        return orjson.dumps(instance_of(schema, dice, definitions)).decode()
    if response_format.get("type") == "json_object":
        return orjson.dumps({"answer": dice.words(3)}).decode()
    return f"The {dice.words(2)} needs a {dice.words(1)}."


def _schema_in(text: str) -> dict[str, Any] | None:
    if '"properties"' not in text:
        return None
    for start in re.finditer(r"\{", text):
        for end in reversed([match.end() for match in re.finditer(r"\}", text)]):
            try:
                found = orjson.loads(text[start.start() : end])
            except orjson.JSONDecodeError:
                continue
            return found if "properties" in found else None
    return None


def logprobs_of(content: str, dice: Dice, alternatives: int) -> dict[str, Any]:
    """Return token log-probabilities whose tokens spell the content; every alternative is less likely."""
    tokens = []
    for piece in re.findall(r" ?\w{1,5}|\s|[^\w\s]", content):
        share = 0.5 + dice.pick(500) / 1001
        rest = [(f"{piece[:-1]}{letter}", (1 - share) / 2 ** (place + 1)) for place, letter in enumerate("qzjkvwxy")]
        top = [(piece, share), *[other for other in rest if other[0] != piece]][:alternatives]
        tokens.append({**_token(piece, share), "top_logprobs": [_token(*other) for other in top]})
    return {"content": tokens, "refusal": None}


def _token(text: str, probability: float) -> dict[str, Any]:
    return {"token": text, "logprob": math.log(probability), "bytes": list(text.encode())}
