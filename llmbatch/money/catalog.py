"""Prices of well-known services, from the data that the package genai-prices ships. Nothing is fetched.

Importing the package takes a tenth of a second, so it is imported at the first look-up: a replay makes none.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from llmbatch.money.prices import Prices

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo

HOURS_OF_A_DAY = 24


def _now() -> datetime:
    return datetime.now(UTC)


def catalogued_prices(base_url: str, model: str, *, now: Callable[[], datetime] = _now) -> Prices | None:
    """Return today's prices of the model of a service, None where the package does not have them.

    The service is known by its address alone: a reseller has prices of its own, whatever its models are called. Where
    the price depends on the hour the dearest counts, and where it depends on the length of the question, that of
    short ones.
    """
    version, shipped = _shipped()
    try:
        _, info = shipped.find_provider_model(model, None, None, base_url)
    except LookupError:
        return None
    return _prices_of(info, now(), f"genai-prices {version}")


@cache
def _shipped() -> tuple[str, DataSnapshot]:
    """Return the package's version and its own data, whatever an updater of the author's process may have set."""
    from genai_prices import __version__  # noqa: PLC0415 - see above
    from genai_prices.data import providers  # noqa: PLC0415 - as above
    from genai_prices.data_snapshot import DataSnapshot  # noqa: PLC0415 - as above

    return __version__, DataSnapshot(providers=providers, from_auto_update=False)


def _prices_of(info: ModelInfo, now: datetime, source: str) -> Prices | None:
    if not info.prices:
        return None
    hours = [info.get_prices(now.replace(hour=hour)) for hour in range(HOURS_OF_A_DAY)]
    price = max(hours, key=lambda each: (_base(each.input_mtok) or 0.0, _base(each.output_mtok) or 0.0))
    price_in, price_out, price_cached = map(_base, (price.input_mtok, price.output_mtok, price.cache_read_mtok))
    if price_in is None:
        return None
    kinds = (price.input_mtok, price.output_mtok, price.cache_read_mtok)
    starts = [tier.start for kind in kinds for tier in getattr(kind, "tiers", ())]
    # embeddings have no price of answers: they have none
    return Prices(price_in, price_out or 0.0, price_cached, min(starts, default=None), source)


def _base(price: Any) -> float | None:
    """Return a price, or what it is before the first step of those that grow with the question."""
    if price is None:
        return None
    return float(getattr(price, "base", price))
