"""What was found out, in words for a person: one line for a run, a table for who wants to know all of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from llmbatch.config.capabilities import Capabilities

FACTS = ("json_schema", "json_object", "tools", "logprobs", "top_logprobs", "seed", "n", "stream_usage")
"""The members of Capabilities that say how a service takes something, in the order in which they are told."""

_MEANINGS = {
    "yes": "it does",
    "ignored": "accepted, and answered as if it were not there",
    "refused": "refused by an error",
    "masked": "the numbers say nothing: all but the chosen token are cut away",
    "rescaled": "the numbers follow temperature and top_p: the model's own at temperature 1 and top_p 1 alone",
    "unknown": "not found out",
}
_NAMES = {
    "json_schema": "strict JSON schema",
    "json_object": "JSON mode",
    "tools": "a function that must be called",
    "logprobs": "probabilities of tokens",
    "top_logprobs": "and of their alternatives",
    "seed": "one seed, one answer",
    "n": "several answers to a question",
    "stream_usage": "tokens at the end of a stream",
}


class Row(NamedTuple):
    """One fact: the flag, its state, and both in words."""

    name: str
    state: str
    said: str


def summary(known: Capabilities, mode: str) -> str:
    """Return how a shape is asked for, and all that is not as it should be."""
    said = [f"shapes are asked for by {mode}"]
    if known.left_out:
        said.append(f"left out: {', '.join(known.left_out)}")
    if known.limit_name != "max_tokens" and "max_tokens" not in known.left_out:
        said.append(f"max_tokens is sent as {known.limit_name}")
    for state, words in (
        ("refused", "refused"),
        ("masked", "masked"),
        ("rescaled", "rescaled"),
        ("unknown", "unknown"),
    ):
        named = [name for name in FACTS if getattr(known, name) == state and name not in known.left_out]
        said += [f"{words}: {', '.join(named)}"] if named else []
    ignored = [*known.ignored, *(name for name in FACTS if getattr(known, name) == "ignored")]
    if ignored:
        said.append(f"accepted and not followed: {', '.join(ignored)}")
    return "; ".join(said)


def rows(known: Capabilities) -> Iterator[Row]:
    """Yield every fact."""
    for name in FACTS:
        state = str(getattr(known, name))
        told = f" ({known.alternatives} of 20)" if name == "top_logprobs" and known.alternatives else ""
        yield Row(name, state, f"{_NAMES[name]}: {_MEANINGS[state]}{told}")
    for name in ("temperature", "top_p", "max_tokens"):
        if name in known.left_out:
            yield Row(name, "left out", "refused by an error")
        elif name in known.ignored:
            yield Row(name, "ignored", "accepted, and not followed")
        elif name == "max_tokens" and known.limit_name != name:
            yield Row(name, "renamed", f"sent as {known.limit_name}")
        else:
            yield Row(name, "yes", "accepted")
