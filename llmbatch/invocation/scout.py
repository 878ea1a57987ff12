"""Looking ahead in the middle of a run: what the cases that are left would call, from a sample of each variant."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from llmbatch.asking.asker import Asker
from llmbatch.asking.question import Question
from llmbatch.cassette.case import CaseContext
from llmbatch.cassette.upkeep.walk import title_of
from llmbatch.config import ResolvedModel
from llmbatch.invocation.forecast import PROBES, Asked, priced, total_of
from llmbatch.invocation.known_models import KnownModels
from llmbatch.invocation.prepared import Prepared
from llmbatch.money.book import PriceBook
from llmbatch.money.estimate import Range, Wanted
from llmbatch.plan import Case
from llmbatch.plan.draw import some_cases
from llmbatch.runner.case import CaseRunner
from llmbatch.runner.pool import run_window

SAMPLE = 200
"""Cases of each variant that are looked at, however many there are."""


class Foreseen(NamedTuple):
    """How many calls are left and their cost: None where no price is known. `is_sample`: the number is about so."""

    calls: int
    cost: Range | None
    is_sample: bool


@dataclass(slots=True)
class Scout:
    """Rehearses cases with nothing to call, and adds up what they miss. Only those of tasks that take `ask`.

    `asker` is its own, without an engine, and the one that `runner` asks by.
    """

    prepared: Prepared
    asker: Asker
    runner: CaseRunner
    book: PriceBook
    known: KnownModels
    _wanted: dict[Asked, Wanted] = field(default_factory=dict)
    _to_probe: set[int] = field(default_factory=set)

    async def foresee(self) -> Foreseen:
        """Return what the plan would call from now on."""
        plan, self._wanted, self._to_probe = self.prepared.plan, {}, set()
        looked_at: Counter[str] = Counter()

        async def look(case: Case) -> None:
            if "ask" in case.task.arguments:
                looked_at[case.task.title(case.variant)] += 1
                await self.runner.rehearse(case)

        self.asker.on_miss, self.asker.on_unprobed = self._missed, self._unprobed
        cases = some_cases(plan, SAMPLE, repeats=True)
        await run_window(cases, look, window=self.prepared.window, may_start=lambda: True)
        titles = {task.title(variant): plan.count_of(task, variant) for task in plan.tasks for variant in task.variants}
        shares = {title: titles[title] / number for title, number in looked_at.items()} | {PROBES: 1.0}
        whole = {asked: wanted.times(shares[asked.title]) for asked, wanted in self._wanted.items()}
        items = priced(whole, self.prepared, self.book)
        is_sample = any(shares[asked.title] > 1 for asked in whole)
        # nothing foreseen is not free for ever: what it waits for may be on its way, so it is asked about again
        cost = total_of(items) if items else Range(0.0, 0.0, 0)
        return Foreseen(sum(item.calls for item in items), cost, is_sample)

    def _unprobed(self, model: ResolvedModel, case: CaseContext) -> None:
        """Add the probe of a model, once."""
        if model.can_call and id(model) not in self._to_probe and self.known.is_to_be_probed(model):
            self._to_probe.add(id(model))
            for call, wire in self.known.missing_questions(model):
                self._wanted.setdefault(Asked(PROBES, model.name, call.request.url), Wanted()).add(wire)

    def _missed(self, question: Question, case: CaseContext) -> None:
        model = question.manner.model
        if model.can_call:
            asked = Asked(title_of(case.case_id), model.name, question.manner.address.url)
            self._wanted.setdefault(asked, Wanted()).add(question.wire)
