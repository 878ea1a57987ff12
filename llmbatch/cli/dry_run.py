"""`llmbatch exp --dry-run` and `--pilot N`: what a run would call, why, and what that would cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from llmbatch.cassette.upkeep.looking.nearest import nearest_of
from llmbatch.cassette.upkeep.looking.reasons import reasons_of
from llmbatch.errors import UsageError
from llmbatch.invocation.forecast import Forecast, forecast
from llmbatch.invocation.options import Settings
from llmbatch.invocation.prepared import Prepared
from llmbatch.plan.draw import drawn
from llmbatch.report.counting import counted
from llmbatch.report.display import open_progress
from llmbatch.report.forecast import page_of_costs
from llmbatch.report.page import Field, Heading, Part, print_page
from llmbatch.report.reasons import page_of_reasons
from llmbatch.runner.counters import Counters


def check(settings: Settings, *, dry_run: bool, pilot: int | None) -> None:
    """Raise UsageError for options that say different things."""
    if pilot is not None and pilot < 1:
        raise UsageError(f"--pilot is {pilot}", fix="give --pilot a number of cases from 1 on")
    if dry_run and pilot is not None:
        raise UsageError(
            "--dry-run sends nothing, and --pilot asks some cases for real",
            fix="leave one of them out: --pilot ends with what the rest would cost",
        )
    if (dry_run or pilot is not None) and settings.record_mode == "all":
        raise UsageError(
            "--record-mode all asks again what has an answer, and --dry-run and --pilot count what has none",
            fix="leave it out: the recorded answers tell what they cost (`llmbatch cassette stats`)",
        )


def pilot_of(prepared: Prepared, number: int) -> Prepared:
    """Return the run of a few cases of each variant."""
    return replace(prepared, plan=drawn(prepared.plan, number, prepared.settings.seed))


async def print_forecast(prepared: Prepared) -> None:
    """Print what a run would call, why, and what that would cost. Writes and sends nothing."""
    counters = Counters()
    display = open_progress(counters, quiet=not prepared.settings.progress)
    display.start(prepared.plan.count(), prepared.experiment.name, prepared.experiment.path.name)
    found = await forecast(prepared, display, counters)
    print_page(_page(prepared, found))


def _page(prepared: Prepared, found: Forecast) -> Iterator[Part]:
    watched, misses = found.watched, found.misses
    without = sum(watched.failures.values())
    if not without and not found.calls:
        yield Heading(f"{prepared.experiment.name}: all {counted(watched.cases, 'case')} are answered, nothing to pay")
        return
    yield Heading(f"{prepared.experiment.name}: {without:,} of {counted(watched.cases, 'case')} have no answer")
    yield Field("calls", f"{misses.answered:,} answered, {misses.missed_calls + misses.failed.total():,} not")
    if prepared.mode.mode == "none":
        yield Field("mode", f"none ({prepared.mode.origin}): a run would call nothing")
    if found.items:
        yield from page_of_costs(found.items, found.cost)
    yield from page_of_reasons(reasons_of(zip(misses.held, nearest_of(prepared.cassette, misses.held), strict=True)))
    if misses.not_held:
        yield Field("looked into", f"{len(misses.held):,} of {misses.missed_calls:,}; `llmbatch cassette why` for more")
    for kind, count in misses.failed.most_common():
        yield Heading(f"{counted(count, 'call')}: asked before, and the service gave no answer ({kind})", level=2)
        yield Field("for example", misses.failed_examples[kind])
    for kind, count in watched.failures.items():
        if kind not in misses.failed and kind != "not_recorded":
            yield Heading(f"{counted(count, 'case')} ended in {kind}, whatever is recorded", level=2)
            yield Field("for example", watched.examples[kind])
