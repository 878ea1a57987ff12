"""What one reply cost, from its own token counts and the prices of its model. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmbatch.config import ModelSettings
from llmbatch.parse.completion import Usage


def cost_usd(usage: Usage | None, settings: ModelSettings, recorded: Mapping[str, Any] | None) -> float | None:
    """Return the cost in US dollars, or None where the prices or the token counts are not known.

    The prices `recorded` beside the answer count, so that a price edited later moves no row; the configured ones
    where none are. Tokens that the service read from its own cache cost `usd_per_million_cached_in` if given.
    """
    price_in, price_out, price_cached = (
        (settings.usd_per_million_in, settings.usd_per_million_out, settings.usd_per_million_cached_in)
        if recorded is None
        else (_price(recorded, "in"), _price(recorded, "out"), _price(recorded, "cached_in"))
    )
    if usage is None or price_in is None or price_out is None:
        return None
    cached = usage.tokens_cached if price_cached is not None else 0
    million = (usage.tokens_in - cached) * price_in + cached * (price_cached or 0.0) + usage.tokens_out * price_out
    return million / 1_000_000


def _price(recorded: Mapping[str, Any], of: str) -> float | None:
    text = recorded.get(f"usd_per_million_{of}")
    return None if text is None else float(text)
