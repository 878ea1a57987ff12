"""The spending of one `client`: which model a request asks, and so what it costs, is in its body."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from llmbatch.call.failure import FailureKind
from llmbatch.config import ResolvedModel
from llmbatch.errors import LlmbatchError
from llmbatch.money.spending import Spending


class Tab:
    """Reserves for and settles the requests of a client of `model`'s endpoint; `resolve` finds its other models."""

    def __init__(self, spending: Spending, model: ResolvedModel, resolve: Callable[[str], ResolvedModel]) -> None:
        self._spending = spending
        self._model = model
        self._resolve = resolve
        self._by_name = {model.name: model}

    async def reserve(self, body: bytes) -> float | None:
        """Reserve for a request, as `Spending.reserve` does."""
        return await self._spending.reserve(self._model_of(body), body)

    def settle(
        self, body: bytes, reserved_usd: float, *, received: bytes | None, kind: FailureKind | None, number: int = 0
    ) -> None:
        """Count what attempt `number` of a request (from 0) cost."""
        model = self._model_of(body)
        self._spending.settle(model, body, reserved_usd, received=received, kind=kind, number=number)

    def release(self, reserved_usd: float) -> None:
        """Give back what was reserved for a request that was not sent."""
        self._spending.release(reserved_usd)

    def _model_of(self, body: bytes) -> ResolvedModel:
        try:
            name = orjson.loads(body)["model"]
            known = self._by_name.get(name)
            if known is None:
                known = self._by_name[name] = self._resolve(f"{self._model.endpoint.name}/{name}")
        except (ValueError, LookupError, TypeError, LlmbatchError):  # no body of a model API
            return self._model
        return known
