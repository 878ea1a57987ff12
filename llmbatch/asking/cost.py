"""What one reply cost, from its own token counts and the prices of its model. Pure."""

from __future__ import annotations

from llmbatch.call.values import Reply
from llmbatch.config import ModelSettings
from llmbatch.parse.completion import usage_of


def cost_usd(reply: Reply, settings: ModelSettings) -> float | None:
    """Return the cost in US dollars, or None where the prices or the token counts are not known.

    Tokens that the service read from its own cache cost `usd_per_million_cached_in` where that is given.
    """
    price_in, price_out = settings.usd_per_million_in, settings.usd_per_million_out
    if price_in is None or price_out is None:
        return None
    usage = usage_of(reply.body)
    if usage is None:
        return None
    price_cached = settings.usd_per_million_cached_in
    cached = usage.tokens_cached if price_cached is not None else 0
    million = (usage.tokens_in - cached) * price_in + cached * (price_cached or 0.0) + usage.tokens_out * price_out
    return million / 1_000_000
