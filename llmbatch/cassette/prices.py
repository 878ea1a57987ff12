"""The price snapshot that answers are recorded under, and when it is another one. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from llmbatch.cassette.segment import PRICE_SOURCE


def with_prices(
    snapshot: Mapping[str, Any], prices: Mapping[str, Mapping[str, Any] | None]
) -> Mapping[str, Mapping[str, Any]]:
    """Return the snapshot with these prices in the place of the models' own; None takes a model out.

    An entry whose amounts are the same stays word for word, its source with it: a newer package that says the same is
    no change.
    """
    changed = dict(snapshot)
    for model, entry in prices.items():
        if entry is None:
            changed.pop(model, None)
        elif model not in changed or _amounts(changed[model]) != _amounts(entry):
            changed[model] = entry
    return changed


def _amounts(entry: Mapping[str, Any]) -> dict[str, Decimal]:
    return {name: Decimal(str(amount)) for name, amount in entry.items() if amount is not None and name != PRICE_SOURCE}
