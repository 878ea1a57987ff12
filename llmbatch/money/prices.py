"""The price of a model, and its form in a cassette's metadata. Pure; where prices come from is not known here."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from llmbatch.parse.completion import Usage

_IN, _OUT, _CACHED_IN = "usd_per_million_in", "usd_per_million_out", "usd_per_million_cached_in"
_MOST_IN, _SOURCE = "most_tokens_in", "source"


class Prices(NamedTuple):
    """US dollars for a million tokens of questions, of answers, and of questions that the service had cached.

    Cached tokens cost as others where `cached_in` is None; reasoning tokens are tokens of answers. A longer question
    than `most_tokens_in` has another price, which is not known. `source` is the package and version, "" for the
    configuration.
    """

    usd_per_million_in: float
    usd_per_million_out: float
    usd_per_million_cached_in: float | None = None
    most_tokens_in: int | None = None
    source: str = ""

    def cost_usd(self, usage: Usage) -> float | None:
        """Return what a reply cost, None where its question is longer than these prices are for."""
        tokens_in, tokens_out, cached, _ = usage
        price_in, price_out, price_cached, most_in, _ = self
        if most_in is not None and tokens_in > most_in:
            return None
        if price_cached is None:
            cached, price_cached = 0, 0.0
        return ((tokens_in - cached) * price_in + cached * price_cached + tokens_out * price_out) / 1_000_000

    def as_recorded(self) -> dict[str, str]:
        """Return the members of a cassette's metadata; numbers as their shortest decimal text."""
        amounts = {
            _IN: self.usd_per_million_in,
            _OUT: self.usd_per_million_out,
            _CACHED_IN: self.usd_per_million_cached_in,
            _MOST_IN: self.most_tokens_in,
        }
        recorded = {name: str(Decimal(str(amount))) for name, amount in amounts.items() if amount is not None}
        return {**recorded, _SOURCE: self.source} if self.source else recorded


def recorded_prices(recorded: Mapping[str, Any]) -> Prices | None:
    """Read what `as_recorded` wrote; None unless both prices, in and out, are there."""
    if recorded.get(_IN) is None or recorded.get(_OUT) is None:
        return None
    cached_in, most_in = recorded.get(_CACHED_IN), recorded.get(_MOST_IN)
    return Prices(
        float(recorded[_IN]),
        float(recorded[_OUT]),
        None if cached_in is None else float(cached_in),
        None if most_in is None else int(most_in),
        str(recorded.get(_SOURCE, "")),
    )
