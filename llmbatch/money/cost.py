"""What a recorded reply cost: the prices recorded beside it count, the configured ones where there are none. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmbatch.config import ModelSettings
from llmbatch.money.prices import Prices, recorded_prices
from llmbatch.parse.completion import Usage

_last: tuple[Mapping[str, Any] | None, Prices | None] = None, None


def cost_usd(usage: Usage | None, settings: ModelSettings, recorded: Mapping[str, Any] | None) -> float | None:
    """Return the cost in US dollars, or None where the prices or the token counts are not known.

    A price of the configuration that is edited later, or of a newer package, so moves no row.
    """
    global _last  # noqa: PLW0603 - replaced in one step, so that threads may share it
    if usage is None:
        return None
    if recorded is None:
        prices = configured_prices(settings)
    else:
        known, prices = _last
        if known is not recorded:  # that of one segment and model is one object, for many answers in a row
            prices = recorded_prices(recorded)
            _last = recorded, prices
    return None if prices is None else prices.cost_usd(usage)


def configured_prices(settings: ModelSettings) -> Prices | None:
    """Return the prices that the configuration gives, None unless it gives both, in and out."""
    if settings.usd_per_million_in is None or settings.usd_per_million_out is None:
        return None
    return Prices(settings.usd_per_million_in, settings.usd_per_million_out, settings.usd_per_million_cached_in)
