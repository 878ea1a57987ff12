"""Cases whose sample is the row of another case: that row is made first, and by one of them where several want it.

What such a row says is in the cassette from then on, so whoever wants it later replays it: none are kept in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol

from llmbatch.cassette.case import CaseContext, RehearsalOfASample
from llmbatch.plan import Case
from llmbatch.plan.rows_as_samples import with_row
from llmbatch.tables.cells import cell_of

if TYPE_CHECKING:
    from llmbatch.runner.case import Done


class RunAlone(Protocol):
    """Makes the row of a case that has its sample."""

    def __call__(self, case: Case, *, is_seen: bool = ...) -> Awaitable[Done]:
        """Return the row. What is found for a case that is not `is_seen` is counted and told of elsewhere."""
        ...


@dataclass(slots=True)
class Links:
    """Runs cases that need a row, or whose own row others need, each once at a time.

    Rows without an answer are kept: a run asks nothing twice for them.
    """

    run_alone: RunAlone
    run_in: Callable[[CaseContext, Case], Awaitable[Done]]
    _under_way: dict[str, asyncio.Future[Done]] = field(default_factory=dict)
    _unanswered: dict[str, Done] = field(default_factory=dict)

    async def run(self, case: Case) -> Done:
        """Return the case's row; raises only what must end the run."""
        case = await self._with_sample(case)
        return await (self._once(case, self.run_alone) if case.task.is_source else self.run_alone(case))

    async def rehearsed(self, case: Case) -> Case:
        """Return the case with the row of its source's case, as far as that is recorded."""
        source = case.sample.value
        if source.task.source is not None:
            source = await self.rehearsed(source)
        if source.sample.error is not None:  # its task is not run over it, so neither is it rehearsed
            return with_row(case, {}, source.sample.error)
        return _given_row(case, await self.run_in(RehearsalOfASample(source.id, source.repeat), source))

    async def _with_sample(self, case: Case) -> Case:
        """Return the case with its sample, which may have to be made. What that takes is counted at its own row."""
        if case.task.source is None:
            return case
        source = await self._with_sample(case.sample.value)
        return _given_row(case, await self._once(source, partial(self.run_alone, is_seen=False)))

    async def _once(self, case: Case, run: Callable[[Case], Awaitable[Done]]) -> Done:
        """Return the case's row, made by `run` unless it is under way."""
        known = self._unanswered.get(case.id)
        if known is not None:
            return known
        while (under_way := self._under_way.get(case.id)) is not None:
            await asyncio.wait([under_way])
            if not under_way.cancelled():
                return under_way.result()
        mine = self._under_way[case.id] = asyncio.get_running_loop().create_future()
        try:
            done = await run(case)
        except BaseException:
            mine.cancel()  # who waits for it makes the row itself, and meets what this one did
            raise
        finally:
            del self._under_way[case.id]
        mine.set_result(done)
        if done.failure is not None and not done.failure.kind.is_result:
            self._unanswered[case.id] = done
        return done


def _given_row(case: Case, done: Done) -> Case:
    """Return the case with a row as its sample."""
    cells = map(cell_of, done.row.cells)
    return with_row(case, dict(zip(done.row.names, cells, strict=True)), done.failure)
