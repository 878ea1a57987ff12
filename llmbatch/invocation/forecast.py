"""What a run would call and pay: a replay that counts its misses, and the recorded answers that tell their cost.

Sends nothing and writes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from llmbatch.call.values import Call, RecordedFailure
from llmbatch.cassette.case import PROBE
from llmbatch.cassette.segment import SEGMENT
from llmbatch.cassette.upkeep.addressee import model_of
from llmbatch.cassette.upkeep.walk import decoded, lines_of, title_of
from llmbatch.config import Config, ResolvedModel, resolve_model
from llmbatch.errors import ConfigError
from llmbatch.invocation.misses import Misses
from llmbatch.invocation.models import Models
from llmbatch.invocation.prepared import Prepared
from llmbatch.invocation.steps import Display
from llmbatch.invocation.watched import Watched, watched_replay
from llmbatch.money.book import PriceBook, is_free
from llmbatch.money.estimate import Range, Seen, Wanted, estimated
from llmbatch.parse.completion import usage_of
from llmbatch.policy.verdict import is_model_api
from llmbatch.runner.counters import Counters

PROBES = PROBE.rstrip(":")
"""Who asks what a model can do, where it is told beside the variants."""

MOST_LOOKED_INTO = 50
"""Misses of each variant for which the nearest recorded request is looked for."""


class Asked(NamedTuple):
    """Who asks whom: the variant's title, the model on the wire, and the address."""

    title: str
    model: str
    url: str


@dataclass(slots=True)
class Calls:
    """Hears of a replay: the misses for their reasons, and what each kind of call adds up to. An equal call of another
    case is one call more for the reasons, and none for the cost.
    """

    misses: Misses = field(default_factory=lambda: Misses(MOST_LOOKED_INTO))
    wanted: dict[Asked, Wanted] = field(default_factory=dict)
    _keys: set[bytes] = field(default_factory=set)

    def found(self, key: bytes) -> None:
        """Count an answer."""
        self.misses.found(key)

    def probe_found(self, key: bytes) -> None:
        """Hear of what costs nothing."""

    def probe_missed(self, call: Call, wire: bytes) -> None:
        """Count a question that finds out what a model can do."""
        self._add(Asked(PROBES, model_of(wire) or "", call.request.url), call.key, wire)

    def missed(self, call: Call, case: str | None, failure: RecordedFailure | None) -> None:
        """Count a miss."""
        self.misses.missed(call, case, failure)
        body = call.request.body or b""
        self._add(Asked(title_of(case), model_of(body) or "", call.request.url), call.key, body)

    def _add(self, asked: Asked, key: bytes, body: bytes) -> None:
        if key not in self._keys:
            self._keys.add(key)
            self.wanted.setdefault(asked, Wanted()).add(body)


class Item(NamedTuple):
    """One kind of call and its cost: a range, or None with the reason in words. `basis` says what the range is from."""

    title: str
    model: str
    calls: int
    cost: Range | None
    basis: str


class Forecast(NamedTuple):
    """What a run would call, and what that would cost."""

    watched: Watched
    misses: Misses
    items: list[Item]

    @property
    def calls(self) -> int:
        """How many calls there would be, so far as they are known."""
        return sum(item.calls for item in self.items)

    @property
    def cost(self) -> Range | None:
        """The sum of what is known; None where nothing is."""
        return total_of(self.items)


async def forecast(prepared: Prepared, display: Display, counters: Counters) -> Forecast:
    """Replay the plan with nothing to call, and estimate what is missing. Raises what would end a run."""
    calls = Calls()
    watched = await watched_replay(prepared, calls, display, counters)
    return Forecast(watched, calls.misses, priced(calls.wanted, prepared, PriceBook()))


def priced(wanted: Mapping[Asked, Wanted], prepared: Prepared, book: PriceBook) -> list[Item]:
    """Return what these calls would cost, from what is recorded of calls like them."""
    if not wanted:
        return []
    models = list(Models(prepared.config).of_plan(prepared.plan).values())
    pricing = _Pricing(prepared.config, models, book, _seen(prepared.cassette))
    return [pricing.item(asked, calls) for asked, calls in wanted.items()]


def total_of(items: Iterable[Item]) -> Range | None:
    """Return the sum of the costs that are known; None where none is."""
    known = [item.cost for item in items if item.cost is not None]
    if not known:
        return None
    return Range(
        math.fsum(cost.low_usd for cost in known),
        math.fsum(cost.high_usd for cost in known),
        sum(cost.answers for cost in known),
    )


@dataclass(slots=True)
class _Recorded:
    """Recorded answers by variant and model, and by model alone."""

    of_variant: dict[tuple[str, str], Seen] = field(default_factory=dict)
    of_model: dict[str, Seen] = field(default_factory=dict)


def _seen(folder: Path) -> _Recorded:
    """Read some answers of each variant."""
    recorded = _Recorded()
    full: set[str] = set()
    for line in lines_of(folder, SEGMENT) if folder.is_dir() else ():
        title = title_of(line.case)
        if title in full:
            continue
        whole = decoded(folder, line)
        usage = usage_of(whole.reply.body) if whole.reply is not None and whole.reply.status < 400 else None
        body = whole.call.request.body or b""
        model = model_of(body)
        if usage is None or model is None:
            continue
        seen = recorded.of_variant.setdefault((title, model), Seen())
        seen.add(body, usage)
        if seen.is_full:
            full.add(title)
        shared = recorded.of_model.setdefault(model, Seen())
        if not shared.is_full:
            shared.add(body, usage)
    return recorded


@dataclass(frozen=True, slots=True)
class _Pricing:
    config: Config
    models: list[ResolvedModel]
    book: PriceBook
    recorded: _Recorded

    def item(self, asked: Asked, wanted: Wanted) -> Item:
        model = self._model(asked)
        name = model.text if model is not None else asked.model or asked.url
        if model is None or not is_model_api(asked.url):
            return Item(asked.title, name, wanted.calls, None, "no price is known for this address")
        if is_free(model):
            return Item(asked.title, name, wanted.calls, Range(0.0, 0.0, 0), "a machine of your own")
        prices = self.book.prices(model)
        if prices is None:
            known = "usd_per_million_in and usd_per_million_out"
            return Item(asked.title, name, wanted.calls, None, f"no price is known: set {known} in the configuration")
        seen, basis = self.recorded.of_variant.get((asked.title, asked.model)), "of this variant"
        if seen is None:
            seen, basis = self.recorded.of_model.get(asked.model), "of this model in other variants"
        cost = estimated(wanted, prices, seen)
        if not cost.answers:
            basis = "no answer to go by: 4 characters a token, answers up to max_tokens; --pilot N tells better"
            return Item(asked.title, name, wanted.calls, cost, basis)
        return Item(asked.title, name, wanted.calls, cost, f"as {cost.answers:,} recorded answers {basis}")

    def _model(self, asked: Asked) -> ResolvedModel | None:
        """Return the model that a call asks: one of the plan, else of the endpoint that the address is of."""
        for model in self.models:
            if model.name == asked.model and asked.url.startswith(model.base_url):
                return model
        for endpoint in self.config.endpoints.values():
            if asked.model and asked.url.startswith(endpoint.base_url):
                try:
                    return resolve_model(self.config, f"{endpoint.name}/{asked.model}")
                except ConfigError:
                    return None
        return None
