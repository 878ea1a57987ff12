"""`llmbatch exp`: each experiment file in turn; its tables to standard output, everything else to standard error."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from llmbatch.collect import collect, parse_target
from llmbatch.collect.target import Selector
from llmbatch.errors import ExitCode, UsageError
from llmbatch.invocation.options import Settings, settings_of
from llmbatch.invocation.prepared import Prepared, prepare
from llmbatch.invocation.result import Run
from llmbatch.invocation.steps import execute
from llmbatch.money.purse import Purse
from llmbatch.report.counting import counted
from llmbatch.report.display import open_progress
from llmbatch.report.safe import safe
from llmbatch.report.terminal import print_tables
from llmbatch.runner.counters import Counters

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
        return await _forecast(prepared, settings, dry_run=dry_run, pilot=pilot)
    return await _run_all(prepared)


async def _forecast(prepared: Sequence[Prepared], settings: Settings, *, dry_run: bool, pilot: int | None) -> int:
    """Run the pilot of each, if one is wanted, then print what the rest would cost."""
    from llmbatch.cli.dry_run import check, pilot_of, print_forecast  # noqa: PLC0415 - few runs need it

    check(settings, dry_run=dry_run, pilot=pilot)
    code = 0 if pilot is None else await _run_all([pilot_of(each, pilot) for each in prepared])
    if code not in {ExitCode.FINE, ExitCode.NO_ANSWER}:
        return code
    for each in prepared:
        await print_forecast(each)
    return code


async def _run_all(prepared: Sequence[Prepared]) -> int:
    exit_codes: list[int] = []
    budgets = {each.settings.budget_usd for each in prepared}  # of the command line or a profile: one for all of them
    budget_usd = budgets.pop() if len(budgets) == 1 else None
    purse = None if budget_usd is None else Purse(budget_usd)
    for each in prepared:
        exit_codes.append(await _run_one(each, purse))
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
    for name in ("targets", "collect_only", "dry_run", "pilot", "version"):
        given.pop(name)
    said = {name: value for name, value in given.items() if value is not None and value is not False}
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


async def _run_one(prepared: Prepared, purse: Purse | None) -> int:
    counters = Counters()
    progress = open_progress(counters, quiet=not prepared.settings.progress)
    run = await execute(prepared, counters, progress, purse=purse)
    print_tables(None, run.tables)
    sys.stdout.flush()
    print(_closing(run), file=sys.stderr)
    return run.exit_code


def _closing(run: Run) -> str:
    lines = [safe(run.message)] if run.message else []
    lines.append(f"{run.paid} paid, {run.cached} from the cassette, {run.failed} failed; tables in {_shown(run.path)}")
    return "\n".join(lines)


def _shown(path: Path) -> str:
    """Return the path as short as it is clear."""
    here = Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else path.as_posix()
