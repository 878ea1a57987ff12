"""The process that looks a second time: it replays a few cases, just recorded, and says which calls it would miss.

Started by `second_look.py` with an order on standard input, in JSON; what it finds goes to standard output, in JSON.
What a task prints goes to standard error. It writes no file.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from llmbatch.cassette.upkeep.looking.nearest import Relation, nearest_of
from llmbatch.collect import collect
from llmbatch.collect.target import Selector
from llmbatch.invocation.misses import Misses
from llmbatch.invocation.options import settings_of
from llmbatch.invocation.prepared import prepare
from llmbatch.invocation.watched import watched_replay
from llmbatch.plan import Case
from llmbatch.report.display import open_progress
from llmbatch.runner.counters import Counters

MOST_MISSES = 20


async def look_again(order: dict[str, Any]) -> dict[str, Any]:
    """Return `missed`, the calls and samples that are others now, and `failed`, the cases that came to no answer.

    The order has the experiment's `file`, the `variants` (task and id) and the ids of the `cases` to replay, and the
    run `options` that these depend on.
    """
    selectors = [Selector(task, variant) for task, variant in order["variants"]]
    options = settings_of({**order["options"], "record_mode": "none"})
    prepared = prepare(collect(Path(order["file"])), selectors, options, os.environ)
    wanted, misses, counters = set(order["cases"]), Misses(MOST_MISSES), Counters()

    def is_wanted(case: Case) -> bool:
        found = case.id in wanted
        wanted.discard(case.id)
        return found

    watched = await watched_replay(
        prepared,
        misses,
        open_progress(counters, quiet=True),
        counters,
        wanted=is_wanted,
        most=len(wanted),
    )
    missed: list[dict[str, str | None]] = [
        {"case": case, "part": "its sample", "change": "there is no such sample now", "recorded": None, "asked": None}
        for case in sorted(wanted)
    ]
    for miss, nearest in zip(misses.held, nearest_of(prepared.cassette, misses.held), strict=True):
        if nearest is not None and nearest.relation is Relation.UNFINISHED:  # in mode `all`: it is recorded
            continue
        first = None if nearest is None or not nearest.differences else nearest.differences[0]
        missed.append(
            {
                "case": miss.case,
                "part": "the request" if first is None else first.place,
                "change": "nothing like it is recorded" if first is None else first.change,
                "recorded": None if first is None else first.before,
                "asked": None if first is None else first.after,
            }
        )
    return {"missed": missed, "failed": {} if misses.missed_calls else watched.examples}


def main() -> None:
    """Read the order, look, and write what was found."""
    answers_to = os.dup(1)
    os.dup2(2, 1)
    found = asyncio.run(look_again(json.load(sys.stdin)))
    with os.fdopen(answers_to, "w", encoding="ascii") as stream:
        json.dump(found, stream)


if __name__ == "__main__":
    main()
