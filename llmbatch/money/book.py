"""The prices of the models that a run asks: configured, else catalogued, looked up once each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from llmbatch.config import ModelSettings, ResolvedModel
from llmbatch.errors import ConfigError
from llmbatch.money.catalog import catalogued_prices
from llmbatch.money.cost import configured_prices
from llmbatch.money.prices import Prices

LookUp = Callable[[str, str], Prices | None]
"""Return the prices of a model (its name on the wire) at a base URL."""


class PriceBook:
    """Knows what each model costs, and which cost nothing that could be counted: those of one's own machines."""

    def __init__(self, look_up: LookUp = catalogued_prices) -> None:
        self._look_up = look_up
        self._known: dict[str, Prices | None] = {}

    def prices(self, model: ResolvedModel) -> Prices | None:
        """Return the prices of a model; None where none is known, and for one's own machines."""
        name = model.qualified
        try:
            return self._known[name]
        except KeyError:
            prices = self._known[name] = self._find(model)
            return prices

    def snapshot(self, models: Iterable[ResolvedModel]) -> dict[str, Mapping[str, str] | None]:
        """Return what a cassette records of these models: None says that a model has no price."""
        found = {model.qualified: self.prices(model) for model in models}
        return {name: None if prices is None else prices.as_recorded() for name, prices in found.items()}

    def check(self, models: Iterable[ResolvedModel]) -> None:
        """Raise ConfigError for the models whose calls would be paid for by a price that nobody knows."""
        unknown = self.unpriced(models)
        if unknown:
            raise _no_price(unknown)

    def unpriced(self, models: Iterable[ResolvedModel]) -> list[ResolvedModel]:
        """Return those of the models whose calls cost what nobody knows."""
        return [model for model in models if model.can_call and not is_free(model) and self.prices(model) is None]

    def _find(self, model: ResolvedModel) -> Prices | None:
        settings = model.settings
        configured = configured_prices(settings)
        if configured is not None or is_free(model):
            return configured
        known = self._look_up(model.base_url, model.name)
        return known if known is None else _overridden(known, settings)


def is_free(model: ResolvedModel) -> bool:
    """Whether the model costs nothing by the call: a machine of one's own, and no price is configured for it."""
    return configured_prices(model.settings) is None and (model.endpoint.free or is_this_machine(model.base_url))


@lru_cache(maxsize=256)
def is_this_machine(base_url: str) -> bool:
    """Whether the host of a URL is this machine: localhost, a loopback address, or the one that servers listen at."""
    host = urlsplit(base_url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
        return address.is_loopback or address.is_unspecified
    except ValueError:
        return False


def _overridden(known: Prices, settings: ModelSettings) -> Prices:
    """Return the catalogued prices with those in their place that the configuration does give."""
    price_in, price_out = settings.usd_per_million_in, settings.usd_per_million_out
    price_cached = settings.usd_per_million_cached_in
    return known._replace(
        usd_per_million_in=known.usd_per_million_in if price_in is None else price_in,
        usd_per_million_out=known.usd_per_million_out if price_out is None else price_out,
        usd_per_million_cached_in=known.usd_per_million_cached_in if price_cached is None else price_cached,
    )


def _no_price(unknown: list[ResolvedModel]) -> ConfigError:
    first = unknown[0]
    alias = first.qualified.partition("/")[2]
    return ConfigError(
        f"a budget is given, and no price of {', '.join(model.text for model in unknown)} is known",
        endpoint=f"{first.endpoint.name} at {first.base_url}",
        fix=f'add models."{alias}" = {{ usd_per_million_in = ..., usd_per_million_out = ... }} to '
        f"[endpoints.{first.endpoint.name}], or free = true there if its calls cost nothing; nothing was sent",
    )
