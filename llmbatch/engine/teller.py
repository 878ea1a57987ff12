"""What the run log hears of calls: attempts that were no plain first success, waits, and at the end the totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from llmbatch.call.failure import Failure
from llmbatch.cassette.case import current_case
from llmbatch.client.retry import Attempted, RetrySettings
from llmbatch.config import ResolvedModel
from llmbatch.engine.protocol import Order
from llmbatch.money.bill import Bill
from llmbatch.policy import Verdict
from llmbatch.runlog import Log


@dataclass(slots=True)
class Teller:
    """One for a run. `bills` are what its attempts came to, by `endpoint/model`."""

    log: Log
    bills: Mapping[str, Bill]
    _names: dict[str, tuple[str, str]] = field(default_factory=dict)
    _hedged: Counter[str] = field(default_factory=Counter)
    _waited_seconds: dict[str, float] = field(default_factory=dict)

    def attempt(
        self,
        order: Order,
        attempted: Attempted[Any],
        number: int,
        *,
        cost_usd: float | None,
        taken_seconds: float,
        hedge: bool,
    ) -> None:
        """Hear of an attempt (from 0) of `ask` that failed, came after one that did, or was sent beside another."""
        verdict = attempted.verdict
        self.log.write(
            "attempt",
            endpoint=order.model.endpoint.name,
            model=order.model.name,
            case=order.case.case_id,
            key=order.call.key.hex(),
            number=number + 1,
            kind=_kind_of(verdict),
            status=_status_of(attempted.value),
            message=verdict.message or None,
            taken_us=int(taken_seconds * 1e6),
            cost_usd=cost_usd,
            hedge=hedge,
        )

    def hedge(self, order: Order, *, after_seconds: float, won: bool) -> None:
        """Hear of a call that was sent beside a late one, when it has ended."""
        self._hedged[order.model.qualified] += 1
        self.log.write(
            "hedge",
            endpoint=order.model.endpoint.name,
            model=order.model.name,
            case=order.case.case_id,
            key=order.call.key.hex(),
            after_seconds=round(after_seconds, 3),
            won=won,
        )

    def with_waits(self, model: ResolvedModel, settings: RetrySettings) -> RetrySettings:
        """Return the settings with which the waits of a model are heard of."""
        self._names[model.qualified] = model.endpoint.name, model.name
        return replace(settings, on_wait=partial(self._waits, model, settings))

    def of_client(self, model: ResolvedModel, settings: RetrySettings) -> RetrySettings:
        """Return the settings with which the attempts of a `client` are heard of, and its waits."""
        return replace(self.with_waits(model, settings), on_attempt=partial(self._client_attempts, model, settings))

    def tell_totals(self) -> None:
        """Say what was called of each model."""
        for text, bill in self.bills.items():
            endpoint, _, name = text.partition("/")
            endpoint, name = self._names.get(text, (endpoint, name))
            self.log.write(
                "calls",
                endpoint=endpoint,
                model=name,
                calls=bill.attempts,
                retried=bill.retried,
                waited_seconds=round(self._waited_seconds.get(text, 0.0), 3),
                hedged=self._hedged[text],
                tokens_in=bill.tokens_in,
                tokens_out=bill.tokens_out,
                cost_usd=None if bill.unpriced else bill.usd,
            )

    def _client_attempts(self, model: ResolvedModel, settings: RetrySettings, attempted: Attempted[Any]) -> None:
        if settings.on_attempt is not None:
            settings.on_attempt(attempted)
        verdict, number = attempted.verdict, attempted.attempts - 1
        if attempted.replayed or (verdict.kind is None and not number):
            return
        self.log.write(
            "attempt",
            endpoint=model.endpoint.name,
            model=model.name,
            case=_case_id(),
            number=number + 1,
            kind=_kind_of(verdict),
            status=_status_of(attempted.value),
            message=verdict.message or None,
        )

    def _waits(self, model: ResolvedModel, settings: RetrySettings, verdict: Verdict, seconds: float) -> None:
        self._waited_seconds[model.qualified] = self._waited_seconds.get(model.qualified, 0.0) + seconds
        self.log.write(
            "wait",
            endpoint=model.endpoint.name,
            model=model.name,
            case=_case_id(),
            kind=_kind_of(verdict),
            seconds=round(seconds, 3),
        )
        if settings.on_wait is not None:
            settings.on_wait(verdict, seconds)


def _kind_of(verdict: Verdict) -> str | None:
    return None if verdict.kind is None else str(verdict.kind)


def _status_of(value: object) -> int | None:
    """Return the HTTP status of what an attempt came to; None where no reply came."""
    if isinstance(value, Failure):
        status = value.detail.removeprefix("http_")
        return int(status) if status.isdecimal() else None
    found = getattr(value, "status", None) or getattr(value, "status_code", None)  # ours, or that of the SDK's library
    return found if isinstance(found, int) else None


def _case_id() -> str | None:
    case = current_case.get()
    return None if case is None else case.case_id
