"""The most that one call may cost, from the bytes of its body. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from llmbatch.money.prices import Prices

ASSUMED_TOKENS_OUT = 16_384
"""Tokens of an answer for which a request sets no limit."""

# a quotation mark inside a text is escaped, so this is a member of the body, or of a schema in it that is longer yet
_MOST_OUT = re.compile(rb'"(?:max_tokens|max_completion_tokens|max_output_tokens)":\s*(\d+)')
_CHOICES = re.compile(rb'"n":\s*(\d+)\s*[,}]')


class MostTokens(NamedTuple):
    """The most tokens that a call takes. `is_limited` is False where its answer has no limit, and one is assumed."""

    tokens_in: int
    tokens_out: int
    is_limited: bool


def most_tokens(body: bytes) -> MostTokens:
    """Return how many tokens a request can take: a token is at least a byte, an answer as long as its limit allows."""
    limits = _MOST_OUT.findall(body)
    if not limits and b'"encoding_format":' in body:  # an embedding: nothing is said
        return MostTokens(len(body), 0, True)
    choices = max(map(int, _CHOICES.findall(body)), default=1)
    most_out = max(map(int, limits)) if limits else ASSUMED_TOKENS_OUT
    return MostTokens(len(body), most_out * max(1, choices), bool(limits))


def most_usd(prices: Prices, body: bytes) -> float:
    """Return the most that a call costs by these prices."""
    most = most_tokens(body)
    return (most.tokens_in * prices.usd_per_million_in + most.tokens_out * prices.usd_per_million_out) / 1_000_000
