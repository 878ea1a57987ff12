"""`llmbatch exp`: each experiment file in turn; its tables to standard output, everything else to standard error."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmbatch.cli.confirm import can_ask, confirm
from llmbatch.collect import collect, parse_target
from llmbatch.collect.target import Selector
from llmbatch.errors import ExitCode, UsageError
from llmbatch.invocation.options import settings_of
from llmbatch.invocation.prepared import Prepared, prepare
from llmbatch.invocation.result import Run
from llmbatch.invocation.steps import execute
from llmbatch.money.purse import Purse
from llmbatch.report.bill import bill_line
from llmbatch.report.counting import counted
from llmbatch.report.display import open_progress
from llmbatch.report.safe import safe
from llmbatch.report.terminal import print_tables
from llmbatch.runner.counters import Counters

if TYPE_CHECKING:
    from llmbatch.invocation.consent import Confirm

_ENDS_ALL = frozenset({ExitCode.INTERRUPTED, ExitCode.SERVICE_STOPPED, ExitCode.DISK})
"""What ends the experiments that follow as well."""


async def run_exp(options: Mapping[str, Any], environ: Mapping[str, str]) -> int:
    """Run what the targets name and return the exit code: the first that is not 0. Raises LlmbatchError."""
    settings = settings_of(_settings(options), origin="the command line")
    if "progress" not in settings.origins:
        settings = replace(settings, progress=True)
    prepared = [
        prepare(collect(path), selectors, settings, environ) for path, selectors in _by_file(options["targets"]).items()
    ]
    if options["collect_only"]:
        return _list(prepared)
    dry_run, pilot = options["dry_run"], options["pilot"]
    if dry_run or pilot is not None:
        from llmbatch.cli import dry_run as forecasts  # noqa: PLC0415 - few runs need it

        for each in prepared:
            forecasts.check(each.settings, dry_run=dry_run, pilot=pilot)
        code = 0
        if pilot is not None:
            few = [forecasts.pilot_of(each, pilot) for each in prepared]
            code = await _run_all(few, _confirm(options))
        if code in {ExitCode.FINE, ExitCode.NO_ANSWER}:
            for each in prepared:
                await forecasts.print_forecast(each)
        return code
    return await _run_all(prepared, _confirm(options))


def _confirm(options: Mapping[str, Any]) -> Confirm | None:
    """Return how a person is asked; None where there is none, or they said yes before."""
    return None if options["yes"] or not can_ask() else confirm


async def _run_all(prepared: Sequence[Prepared], ask_first: Confirm | None) -> int:
    exit_codes: list[int] = []
    budgets = {each.budget_usd for each in prepared}  # where they say the same, it is one for all of them
    budget_usd = budgets.pop() if len(budgets) == 1 else None
    purse = None if budget_usd is None else Purse(budget_usd)
    for each in prepared:
        exit_codes.append(await _run_one(each, purse, ask_first))
        if exit_codes[-1] in _ENDS_ALL:
            break
    if ExitCode.NOTHING_SELECTED in exit_codes and set(exit_codes) != {ExitCode.NOTHING_SELECTED}:
        exit_codes = [code for code in exit_codes if code != ExitCode.NOTHING_SELECTED]
    return next((code for code in exit_codes if code), int(ExitCode.FINE))


def _settings(options: Mapping[str, Any]) -> dict[str, Any]:
    given = dict(options)
    if given.pop("offline"):
        if given["record_mode"] not in {None, "none"}:
            raise UsageError(
                f"--offline and --record-mode {given['record_mode']} contradict each other", fix="leave one of them out"
            )
        given["record_mode"] = "none"
    given["formats"] = given.pop("format") or None
    quiet = given.pop("quiet")
    for name in ("targets", "collect_only", "dry_run", "pilot", "yes", "version"):
        given.pop(name)
    said = {name: value for name, value in given.items() if value is not None}  # a flag that is not there says nothing
    return said | ({"progress": False} if quiet else {})


def _by_file(targets: Sequence[str]) -> dict[Path, list[Selector]]:
    """Group the targets by file, in order; a file that is named without a selector is wanted whole."""
    wanted: dict[Path, list[Selector] | None] = {}
    for text in targets:
        target = parse_target(text)
        before = wanted.get(target.path, [])
        wanted[target.path] = None if target.selector is None or before is None else [*before, target.selector]
    return {path: selectors or [] for path, selectors in wanted.items()}


def _list(prepared: Sequence[Prepared]) -> int:
    total = 0
    for each in prepared:
        for task in each.plan.tasks:
            for variant in task.variants:
                cases = each.plan.count_of(task, variant)
                print(safe(f"{each.experiment.path.name}::{task.title(variant)}  {counted(cases, 'case')}"))
                total += cases
    print(counted(total, "case"))
    return ExitCode.FINE if total else ExitCode.NOTHING_SELECTED


async def _run_one(prepared: Prepared, purse: Purse | None, confirm: Confirm | None) -> int:
    counters = Counters()
    progress = open_progress(counters, quiet=not prepared.settings.progress)
    run = await execute(prepared, counters, progress, purse=purse, confirm=confirm)
    print_tables(None, run.tables)
    sys.stdout.flush()
    print(_closing(run), file=sys.stderr)
    return run.exit_code


def _closing(run: Run) -> str:
    lines = [safe(run.message)] if run.message else []
    lines += filter(None, [bill_line(run.bill, run.tables)])
    lines.append(f"{run.paid} paid, {run.cached} from the cassette, {run.failed} failed; tables in {_shown(run.path)}")
    return "\n".join(lines)


def _shown(path: Path) -> str:
    """Return the path as short as it is clear."""
    here = Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else path.as_posix()
