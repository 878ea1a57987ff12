"""What calls outside `ask` cost: which model of the configuration they asked is in their address and their body."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from llmbatch.call.values import Call, Reply
from llmbatch.cassette.case import CaseContext
from llmbatch.cassette.store import Store
from llmbatch.cassette.upkeep.addressee import model_of
from llmbatch.config import ModelSettings, ResolvedModel
from llmbatch.money.cost import cost_usd
from llmbatch.parse.completion import usage_of
from llmbatch.policy.verdict import is_model_api

_CHAT = "/chat/completions"


@dataclass(frozen=True, slots=True)
class ForeignCosts:
    """Prices replies to an SDK or another library, by the endpoint of the case's model."""

    store: Store
    _bases: dict[str, str] = field(default_factory=dict)

    def of(self, context: CaseContext, model: ResolvedModel | None) -> float | None:
        """Return what all of a case's answers cost; None where the price of one is not known.

        What is no call of a model API (a page, a file that is sent) is no answer, and has no price.
        """
        asked = len(context.replies) - len(context.foreign)
        costs = list(context.costs_usd)
        costs += [self._cost(call, reply, model) for call, reply in context.foreign if is_model_api(call.request.url)]
        known = [cost for cost in costs if cost is not None]
        if not known or len(known) < len(costs) or len(context.costs_usd) < asked:
            return None
        return math.fsum(known)

    def _cost(self, call: Call, reply: Reply, model: ResolvedModel | None) -> float | None:
        name = model_of(call.request.body or b"")
        if model is None or name is None or not call.request.url.startswith(self._base(model)):
            return None
        qualified, settings = _named(model, name)
        return cost_usd(usage_of(reply.body), settings, self.store.prices(call.key, qualified))

    def _base(self, model: ResolvedModel) -> str:
        """Return how the recorded addresses of a model's endpoint begin."""
        base = self._bases.get(model.base_url)
        if base is None:
            recorded = self.store.address("POST", model.base_url + _CHAT, model.key_headers).url
            base = self._bases[model.base_url] = recorded.removesuffix(_CHAT) + "/"
        return base


def _named(model: ResolvedModel, name: str) -> tuple[str, ModelSettings]:
    """Return what a wire name of the model's endpoint is configured as, and the name that its price is kept under."""
    if name == model.name:
        return model.qualified, model.settings
    for alias, settings in model.endpoint.models.items():
        if settings.name == name:
            return f"{model.endpoint.name}/{alias}", settings
    return f"{model.endpoint.name}/{name}", ModelSettings(name)
