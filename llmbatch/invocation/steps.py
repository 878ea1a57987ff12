"""A run as a list of steps: from a collected experiment to rows, tables and an exit code."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from llmbatch.cassette.retrying import RetryingStore
from llmbatch.cassette.store import Store
from llmbatch.collect.experiment import Experiment
from llmbatch.config import ResolvedModel
from llmbatch.errors import DiskError, ExitCode
from llmbatch.experiment.columns import declared_kinds
from llmbatch.invocation.collector import collecting_seldom
from llmbatch.invocation.intercepting import intercepted
from llmbatch.invocation.known_models import KnownModels
from llmbatch.invocation.live_side import LiveSide
from llmbatch.invocation.logged import Ending, logged
from llmbatch.invocation.missing import missing_answers
from llmbatch.invocation.models import Models
from llmbatch.invocation.opening import check_digest, make_results_folder, make_store
from llmbatch.invocation.paying import make_spending, open_book, tell_counters
from llmbatch.invocation.prepared import Prepared
from llmbatch.invocation.probing import tell_of
from llmbatch.invocation.result import Run
from llmbatch.invocation.second_look import SecondLook
from llmbatch.invocation.tables import Tables, write_tables
from llmbatch.invocation.work import Work
from llmbatch.money.purse import Purse
from llmbatch.money.spending import Spending
from llmbatch.plan import Plan
from llmbatch.runlog import Log, RunLog, write_exception
from llmbatch.runner.counters import Counters
from llmbatch.runner.stop import Stop
from llmbatch.tables.spool import Spool

if TYPE_CHECKING:
    from llmbatch.invocation.consent import Confirm


class Display(Protocol):
    """What shows a run while it goes on."""

    def start(self, total: int, description: str, file: str) -> None:
        """Begin to show."""
        ...

    def note(self, text: str) -> None:
        """Say something that matters now."""
        ...

    def stop(self) -> None:
        """Show the last state and end."""
        ...


async def execute(
    prepared: Prepared,
    counters: Counters,
    display: Display,
    *,
    purse: Purse | None = None,
    confirm: Confirm | None = None,
) -> Run:
    """Open, rehearse, run, write. Raises LlmbatchError for what stops a run before its first case.

    `purse` is what several runs pay from; without it the run has its own, with the budget that it is given. `confirm`
    puts a question to a person before the run costs more than they said; without it nobody is asked.
    """
    experiment, settings, plan = prepared.experiment, prepared.settings, prepared.plan
    with ExitStack() as stack:
        opened = _open(stack, prepared, counters, display, purse or Purse(prepared.budget_usd))
        work, store, spending = opened.work, opened.work.store, opened.spending
        if confirm is not None and settings.budget_usd is None:  # a budget is an answer
            _ask_first(prepared, work, spending, display, confirm)
        stack.enter_context(intercepted(store, prepared.config.allow_hosts, work.stop, work.note))
        stack.callback(display.stop)
        stack.enter_context(collecting_seldom())
        await work.run(lambda: display.start(plan.count(), experiment.name, experiment.path.name))
        tell_counters(spending.bill, counters)
        display.stop()
        tables = write_tables(work.spool, opened.path, plan, settings.formats)
        if work.spool.schema.mixed:
            work.note(f"columns with values of unlike types are JSON text: {', '.join(work.spool.schema.mixed)}")
        ending = opened.ending
        ending.message = _message_of(prepared, work, opened.asked)
        ending.exit_code = _with_tables(work.exit_code(), tables, work.run_log)
        store.close()  # here, so that the log's last event tells of a disk that does not take the last answers
        if work.cancelled:
            raise asyncio.CancelledError
    return _run_of(opened, tables)


@dataclass(frozen=True, slots=True)
class _Opened:
    """What a run has open, and where it leaves its results. `asked` are the models of its plan by their text."""

    path: Path
    run_log: RunLog
    ending: Ending
    asked: Mapping[str, ResolvedModel]
    spending: Spending
    work: Work


def _open(stack: ExitStack, prepared: Prepared, counters: Counters, display: Display, purse: Purse) -> _Opened:
    """Open the cassette, the results and the run log, which the stack closes; nothing is called."""
    plan, settings = prepared.plan, prepared.settings
    store = stack.enter_context(_store_of(prepared))
    stack.enter_context(_told_what_is_lost(store))
    if settings.expect_digest is not None:
        check_digest(prepared.cassette, settings.expect_digest)
    offline = prepared.mode.mode == "none"
    known = KnownModels(store, partial(Store.find, store), may_probe=store.can_record)
    models = Models(
        prepared.config,
        store.recorded_base_url,
        store.recorded_model_name,
        offline=offline,
        informed=known.informed,
    )
    asked = models.of_plan(plan)
    book = open_book(purse, store, asked.values())
    path, total = make_results_folder(prepared.results, datetime.now(UTC)), plan.count()
    run_log, ending = stack.enter_context(logged(prepared, path, total, counters, store.scrub_text))

    def note(text: str) -> None:
        run_log.write("note", text=text)
        display.note(store.scrub_text(text))

    stop = Stop()
    spool = stack.enter_context(
        Spool(path, declared=_declared(plan), scrub=store.scrub_bytes if prepared.secrets else None)
    )
    spending = make_spending(book, purse, store, models=asked.values(), stop=stop, log=run_log, note=note)
    live = LiveSide(prepared, store, stop, counters=counters, spending=spending, note=note, log=run_log)
    known.begin_to_tell(partial(tell_of, run_log, note, origin="recorded"))
    work = Work(plan, prepared.window, store, models, known, live, spool, run_log, counters, stop, note)
    if store.can_record and not settings.allow_unstable:
        work.second_look = SecondLook(prepared, total, stop, run_log, note)
    return _Opened(path, run_log, ending, asked, spending, work)


def _run_of(opened: _Opened, tables: Tables) -> Run:
    """Return what is left behind."""
    work, ending = opened.work, opened.ending
    counters = work.counters
    said = [ending.message, opened.run_log.problem, *(error.report() for error, _ in tables.broken)]
    return Run(
        exit_code=int(ending.exit_code),
        path=opened.path,
        tables=tables.named,
        variants={(task.name, each.id): each.values for task in work.plan.tasks for each in task.variants},
        paid=counters.paid,
        cached=counters.cached,
        failed=counters.failed,
        bill=opened.spending.bill,
        message="\n".join(filter(None, said)) or None,
    )


def _store_of(prepared: Prepared) -> Store:
    """Return the run's cassette, not yet open."""
    settings = prepared.settings
    return make_store(
        prepared.cassette,
        prepared.mode,
        prepared.plan,
        prepared.config,
        prepared.secrets,
        kind=RetryingStore if settings.retry_errors else Store,
        durability=settings.durability,
    )


def _ask_first(prepared: Prepared, work: Work, spending: Spending, display: Display, confirm: Confirm) -> None:
    """Put a question between what the run's tasks ask and what it pays."""
    from llmbatch.invocation.consent import consent_of, paused  # noqa: PLC0415 - replays and scripts need none

    experiment = prepared.experiment
    show = partial(display.start, work.plan.count(), experiment.name, experiment.path.name)
    work.consent = consent_of(prepared, work, spending, paused(display, show, confirm))


def _message_of(prepared: Prepared, work: Work, asked: Mapping[str, ResolvedModel]) -> str | None:
    """Return why the run ended early, or what is missing; None where nothing is."""
    total = work.plan.count()
    message = work.stop.reason if total else _nothing_selected(prepared)
    if message is not None and work.counters.done < total:
        message = f"{message}\n{total - work.counters.done:,} of {total:,} cases were not run"
    if work.store.unwritten:
        message = f"{message}\n{_unwritten(work.store.unwritten)}"
    unrecorded = work.unrecorded()
    if message is None and any(without for without, _ in unrecorded.values()):
        message = missing_answers(unrecorded, asked, prepared.mode, _target(prepared.experiment))
    return None if message is None else work.store.scrub_text(message)


def _with_tables(exit_code: ExitCode, tables: Tables, run_log: Log) -> ExitCode:
    for problem, cause in tables.broken:
        write_exception(run_log, "table_error", cause, message=problem.what)
    return ExitCode.USAGE if tables.broken and exit_code in {ExitCode.FINE, ExitCode.NO_ANSWER} else exit_code


def _nothing_selected(prepared: Prepared) -> str:
    tasks = prepared.plan.tasks
    if prepared.settings.last_failed:
        return "nothing is selected: in the last run every case that is chosen now has a row that is ok"
    if not tasks:
        names = ", ".join(collected.name for collected in prepared.experiment.tasks)
        return f"nothing is selected: no variant of {names} matches; --collect-only lists what there is"
    return f"nothing is selected: {', '.join(task.samples.name for task in tasks)} has no samples"


@contextmanager
def _told_what_is_lost(store: Store) -> Iterator[None]:
    """Say of a disk that takes no results either how many answers it did not take: nothing else will."""
    try:
        yield
    except DiskError as error:
        if store.unwritten:
            error.details = {"answers": _unwritten(store.unwritten), **error.details}
        raise


def _unwritten(number: int) -> str:
    answers = "1 answer that came" if number == 1 else f"{number:,} answers that came"
    return f"{answers} could not be written: paid for, lost, and asked again by the next run"


def _target(experiment: Experiment) -> str:
    """Return the experiment's file as a person in the project's folder writes it."""
    path, root = experiment.path, experiment.root
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _declared(plan: Plan) -> dict[str, str]:
    """Return the kinds of the declared answer columns on which all tasks agree."""
    kinds: dict[str, set[str]] = {}
    for task in plan.tasks:
        for name, kind in declared_kinds(task.columns or {}).items():
            kinds.setdefault(name, set()).add(kind)
    return {name: next(iter(found)) for name, found in kinds.items() if len(found) == 1}
