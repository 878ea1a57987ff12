"""How many tokens a request will take, before it is known, and how many it took. Pure; knows no tokeniser."""

from __future__ import annotations

import re

TOKENS_PER_BYTE = 0.25
"""A quarter of a token a character: what English text and code come to, until replies tell better."""
UNKNOWN_COMPLETION_TOKENS = 500.0
"""For a request that does not bound its answer, while no answer is known."""
_WEIGHT = 0.05
"""Of each further reply in the running means: about the last twenty count."""

_BOUND = re.compile(rb'"max_(?:completion_|output_)?tokens"\s*:\s*(\d{1,9})\b')
_COUNTS = re.compile(rb'"(prompt|input|completion|output|total)_tokens"\s*:\s*(\d{1,12})')


class Estimate:
    """Learns from the usage of the replies of one model what its next request will take."""

    __slots__ = ("_completion_tokens", "_tokens_per_byte")

    def __init__(self) -> None:
        self._completion_tokens: float | None = None
        self._tokens_per_byte = TOKENS_PER_BYTE

    def of(self, body: bytes) -> float:
        """Return the tokens that a request will probably take: question and answer."""
        completion = self._completion_tokens
        if completion is None:
            bound = _BOUND.search(body)
            completion = float(bound[1]) if bound else UNKNOWN_COMPLETION_TOKENS
        return len(body) * self._tokens_per_byte + completion

    def learn(self, body: bytes, reply: bytes) -> float | None:
        """Take note of what a request took and return it; None where the reply does not say."""
        found = _usage(reply)
        if found is None:
            return None
        prompt, completion = found
        per_byte = prompt / max(1, len(body))
        if self._completion_tokens is None:
            self._completion_tokens, self._tokens_per_byte = completion, per_byte
        else:
            self._completion_tokens += _WEIGHT * (completion - self._completion_tokens)
            self._tokens_per_byte += _WEIGHT * (per_byte - self._tokens_per_byte)
        return prompt + completion


def _usage(reply: bytes) -> tuple[float, float] | None:
    """Return the tokens of question and answer, from the last `usage` of a JSON document or of a stream's events.

    Only the text from there on is looked at: parsing the whole reply again would cost more than all else in this room.
    """
    start = reply.rfind(b'"usage"')
    if start < 0:
        return None
    counts: dict[bytes, float] = {}
    for name, number in _COUNTS.findall(reply, start):
        counts.setdefault(name, float(number))  # details, further in, may repeat a name
    prompt = counts.get(b"prompt", counts.get(b"input"))
    completion = counts.get(b"completion", counts.get(b"output"))
    total = counts.get(b"total")
    if prompt is None:
        return None
    if completion is None:
        completion = max(0.0, total - prompt) if total is not None else 0.0
    return prompt, completion
