"""Cases whose sample is the row of another case: that row is made first, and by one of them where several want it.

What such a row says is in the cassette from then on, so whoever wants it later replays it: none are kept in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llmbatch.plan import Case
from llmbatch.plan.rows_as_samples import with_row
from llmbatch.tables.cells import cell_of

if TYPE_CHECKING:
    from llmbatch.runner.case import Done


@dataclass(slots=True)
class SourceRows:
    """Makes rows, each once at a time. Rows without an answer are kept: a run asks nothing twice for them."""

    _under_way: dict[str, asyncio.Future[Done]] = field(default_factory=dict)
    _unanswered: dict[str, Done] = field(default_factory=dict)

    async def of(self, case: Case, run: Callable[[Case], Awaitable[Done]]) -> Done:
        """Return the case's row, made by `run` unless it is under way. Raises what `run` raises."""
        known = self._unanswered.get(case.id)
        if known is not None:
            return known
        while (under_way := self._under_way.get(case.id)) is not None:
            await asyncio.wait([under_way])
            if not under_way.cancelled() and under_way.exception() is None:
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


def given_row(case: Case, done: Done) -> Case:
    """Return the case with a row as its sample."""
    cells = map(cell_of, done.row.cells)
    return with_row(case, dict(zip(done.row.names, cells, strict=True)), done.failure)
