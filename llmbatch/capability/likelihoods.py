"""Whether the probabilities that a service reports are those of its model: there at all, whole, and not rescaled."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from llmbatch.call.values import Reply
from llmbatch.config.capabilities import LogprobSupport
from llmbatch.parse.body import load_body

_NO_CHANCE = -30.0
"""Below this a probability is a way to write 0: -inf, -100 and -9999 are all in use."""
_CERTAIN = -1e-6
_SURE = math.log(0.99)
_NOISE = 0.1
"""How far the same distribution may be off itself from one call to the next: batches and kernels differ."""


class Position(NamedTuple):
    """One token of an answer: its text, its logarithmic probability, and those of its alternatives by their text.

    `told` is how many of these came: several tokens may have one text, as pieces of characters have.
    """

    token: str
    chosen: float
    alternatives: Mapping[str, float]
    told: int

    @property
    def possible(self) -> int:
        """How many tokens it tells of that could have come."""
        return sum(chance > _NO_CHANCE for chance in self.alternatives.values())


def positions_of(reply: Reply) -> list[Position]:
    """Return the tokens whose probabilities a reply tells; none where it tells of none."""
    document = load_body(reply.body)
    try:
        told = document["choices"][0]["logprobs"]["content"]
        return [_position(each) for each in told]
    except (LookupError, TypeError, ValueError):
        return []


def support_of(sampled: list[Position], greedy: list[Position] | None) -> LogprobSupport:
    """Say what the numbers of an answer at temperature 1 are worth, beside those of one at temperature 0.

    The question has many answers, so that something is not certain: as a rule the first token, but of a model that
    thinks first one behind that, which counts where both answers share what goes before.
    """
    if not sampled:
        return "ignored"
    if all(_says_nothing(position) for position in sampled):
        return "masked"
    pair = _first_open(sampled, greedy or [])
    return "rescaled" if pair is not None and _distance(*pair) > _NOISE else "yes"


def _first_open(sampled: list[Position], greedy: list[Position]) -> tuple[Position, Position] | None:
    """Return the first place at which something else might have come, of answers that are the same before it."""
    for one, other in zip(sampled, greedy, strict=False):
        if one.chosen < _SURE:
            return one, other
        if one.token != other.token:
            break
    return None


def _says_nothing(position: Position) -> bool:
    others = sorted(position.alternatives.values(), reverse=True)[1:]
    return position.chosen >= _CERTAIN and all(other <= _NO_CHANCE for other in others)


def _distance(one: Position, other: Position) -> float:
    """Return half of the sum of all differences; without alternatives, that of a chosen token which is now certain."""
    if not one.alternatives or not other.alternatives:
        return abs(math.exp(one.chosen) - math.exp(other.chosen)) if other.chosen >= _CERTAIN else 0.0
    tokens = one.alternatives.keys() | other.alternatives.keys()
    apart = (_chance(one, token) - _chance(other, token) for token in tokens)
    return math.fsum(abs(each) for each in apart) / 2


def _chance(position: Position, token: str) -> float:
    return math.exp(position.alternatives.get(token, -math.inf))


def _position(entry: object) -> Position:
    if not isinstance(entry, dict):
        msg = f"{entry!r} is no token of an answer"
        raise TypeError(msg)
    listed = entry.get("top_logprobs") or ()
    alternatives: dict[str, float] = {}
    for each in listed:
        log, text = _number(each["logprob"]), str(each["token"])
        so_far = alternatives.get(text, -math.inf)
        alternatives[text] = log if so_far == -math.inf else max(log, so_far) + math.log1p(math.exp(-abs(log - so_far)))
    return Position(str(entry.get("token")), _number(entry["logprob"]), alternatives, len(listed))


def _number(told: object) -> float:
    """Return a logarithmic probability; services write null for that of an impossible token."""
    if told is None:
        return -math.inf
    if isinstance(told, bool) or not isinstance(told, int | float) or math.isnan(told):
        msg = f"{told!r} is no logarithmic probability"
        raise ValueError(msg)
    return min(float(told), 0.0)
