"""The cases of one run on their way: rehearsal, window, counts, and why it ended. Writes rows to the spool only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from llmbatch.asking.asker import Asker
from llmbatch.asking.tool_turns import ToolTurns
from llmbatch.call.failure import FailureKind
from llmbatch.cassette.retrying import RetryingStore
from llmbatch.cassette.store import Store
from llmbatch.engine.protocol import Engine
from llmbatch.errors import AuthorError, ExitCode, LlmbatchError
from llmbatch.invocation.asking_again import AskingAgain
from llmbatch.invocation.interrupt import DRAIN_SECONDS, interruptible
from llmbatch.invocation.known_models import KnownModels
from llmbatch.invocation.live_side import LiveSide
from llmbatch.invocation.models import Clients, Models
from llmbatch.invocation.probing import Prober, tell_of
from llmbatch.invocation.second_look import SecondLook
from llmbatch.invocation.stalling import StallWatch
from llmbatch.plan import Case, Plan, PlannedTask
from llmbatch.plan.rows_as_samples import sample_of
from llmbatch.prompt import Prompts
from llmbatch.runlog import Log, write_exception
from llmbatch.runner.case import CaseRunner, Done
from llmbatch.runner.counters import Counters
from llmbatch.runner.fixtures import Fixtures
from llmbatch.runner.pool import run_window
from llmbatch.runner.stop import Stop
from llmbatch.tables.spool import Spool

MOST_NAMED = 5
CUT_OFF_SHARE = 0.05
"""From here on it is not the odd answer that max_tokens was too few for."""
TASK_THREADS = "llmbatch-task"
"""How the threads of sync tasks are named. No thread can be ended from outside."""


@dataclass(slots=True)
class _Tally:
    """How many cases of a variant ended, and of these without a recorded answer, or with one that was cut off."""

    cases: int = 0
    unrecorded: int = 0
    truncated: int = 0


@dataclass(slots=True)
class Work:
    """What the cases of a run share, and what they have come to.

    `cancelled` says that whoever awaited the run has cancelled it; `bad_sample` is the first that could not be read.
    """

    plan: Plan
    window: int
    store: Store
    models: Models
    known: KnownModels
    live: LiveSide
    spool: Spool
    run_log: Log
    counters: Counters
    stop: Stop
    note: Callable[[str], None]
    second_look: SecondLook | None = None
    consent: Callable[[Engine, CaseRunner], Engine] | None = None
    without_answer: int = 0
    _tallies: dict[tuple[PlannedTask, str], _Tally] = field(default_factory=dict)
    _given_up: list[str] = field(default_factory=list)
    first_error: AuthorError | None = None
    cancelled: bool = False
    bad_sample: str = ""
    _unrehearsed: tuple[PlannedTask, ...] = ()
    """Tasks over the rows of others, until there is a row to rehearse them with."""

    async def run(self, on_start: Callable[[], None]) -> None:
        """Rehearse, call `on_start`, then run every case; however it ends, each case has a row afterwards.

        Raises the AuthorError that a rehearsal met, before anything was called.
        """
        asker = Asker(self.store, Prompts(self.plan.experiment.base_folders), self.models.resolve)
        asker.on_author_error = self._keep_first
        clients = Clients(self.live.build_client)
        executor = ThreadPoolExecutor(self.window, thread_name_prefix=TASK_THREADS)
        asker.tool_turns = ToolTurns(self.run_log, executor)
        prober = self._prober()
        shared = (clients.of, executor, self.run_log, self.counters)
        fixtures = Fixtures(asker, self.models.default, *shared, self.note, prober.made, may_be_rehearsed=True)
        runner = CaseRunner(asker, self.models.of_case, *shared, prober.made, fixtures)
        asker.engine = self._engine(runner) if self.store.can_record else None
        asker.on_unprobed = prober.before_question
        prober.engine, prober.on_known = asker.engine, partial(self._look_up_models_anew, runner)
        try:
            for case in self.plan.first_cases():
                if "ask" in case.task.arguments:  # the others render no prompt, and may do things twice
                    await runner.rehearse(case)
                if self.first_error is not None:
                    raise _with_what_the_run_knows(self.first_error, case)
            self._unrehearsed = tuple(task for task in self.plan.tasks if task.source is not None)
            on_start()
            fixtures.may_be_rehearsed = False  # from here on what looks ahead must not do things beside the cases
            await self._run_cases(runner, prober)
            if self.store.record_mode == "all" and not self.stop.requested:
                self.store.complete_generation()
        finally:
            await fixtures.close()
            await clients.close()
            await self.live.close()
            executor.shutdown(wait=False, cancel_futures=True)

    def _prober(self) -> Prober:
        """Return what probes models, as yet without an engine."""

        def paid(answers: int) -> None:
            self.counters.paid += answers

        return Prober(self.known, paid, partial(tell_of, self.run_log, self.note), note=self.note)

    def _look_up_models_anew(self, runner: CaseRunner) -> None:
        """Hear that more is known of a model than before."""
        self.models.forget_unprobed()
        runner.forget_models()

    def _engine(self, runner: CaseRunner) -> Engine:
        engine = AskingAgain(self.live, self.store) if isinstance(self.store, RetryingStore) else self.live
        return engine if self.consent is None else self.consent(engine, runner)

    async def _run_cases(self, runner: CaseRunner, prober: Prober) -> None:
        counters, store, second_look, stop = self.counters, self.store, self.second_look, self.stop
        running: dict[int, Case] = {}

        async def work(case: Case) -> None:
            if second_look is not None and second_look.is_holding:
                await second_look.wait()
            counters.in_flight += 1
            running[case.index] = case
            try:
                done = await runner.run(case)
                if store.can_record and store.disk_error is not None:
                    raise store.disk_error  # the task may have caught it, and made a row of what is lost
                self._finish(case, done)
                if self._unrehearsed and done.failure is None:
                    await self._rehearse_over(case, runner)
            except LlmbatchError as error:  # what is on its way is paid for: it is awaited, as after Ctrl-C
                self._end(error)
            except asyncio.CancelledError:
                self._given_up.append(case.id)
                raise
            finally:
                counters.in_flight -= 1
                del running[case.index]

        async def cases() -> None:
            await prober.made()  # of what the rehearsals have asked
            await run_window(
                self.plan,
                work,
                window=self.window,
                may_start=lambda: stop.reason is None,
                on_last=self.live.nothing_left_to_start,
            )
            if second_look is not None:  # here, where Ctrl-C is heard
                await second_look.close()

        window = asyncio.ensure_future(cases())
        stalls = StallWatch(running, self.live, counters, note=self.note, log=self.run_log, sleep=stop.sleep)
        watching = asyncio.ensure_future(stalls.watch())

        def end_now() -> None:
            window.cancel()

        try:
            with interruptible(self._interrupted, end_now, CaseRunner.is_running_in):
                await self._drained(window)
        except LlmbatchError as error:  # of the samples
            self._end(error)
        except asyncio.CancelledError:
            self.cancelled = self.cancelled or not self.stop.requested
        finally:
            watching.cancel()
        self._tell_of_given_up()
        self._tell_of_cut_answers()
        if second_look is not None:  # where a signal or an error has ended the window
            await second_look.close()
        self._add_rows_not_run(runner)

    async def _rehearse_over(self, case: Case, runner: CaseRunner) -> None:
        """Rehearse the tasks whose sample this row is. Raises PromptError, before more such rows are paid for."""
        ready = [task for task in self._unrehearsed if task.source is case.task]
        self._unrehearsed = tuple(task for task in self._unrehearsed if task not in ready)
        for task in ready:
            for variant in task.variants:
                problem = await runner.rehearse(Case(-1, task, variant, sample_of(case), 0, task.title(variant)))
                if problem is not None:
                    raise problem

    async def _drained(self, window: asyncio.Future[None]) -> None:
        """Await the window. Whoever cancels the run ends it as Ctrl-C does: what is on its way is paid for."""
        try:
            await asyncio.shield(window)
        except asyncio.CancelledError:
            if window.cancelled() or self.stop.requested:
                raise
            self.cancelled = True
            self._interrupted()
            last = asyncio.get_running_loop().call_later(DRAIN_SECONDS, window.cancel)
            try:
                await window
            finally:
                last.cancel()

    def _finish(self, case: Case, done: Done) -> None:
        self.spool.add_cells(case.index, *done.row)
        if case.sample.error is not None and not self.bad_sample:
            self.bad_sample = case.sample.error.message
            self.note(f"a sample cannot be read, the first is {self.bad_sample}; such cases are rows of their own")
        counters, failure = self.counters, done.failure
        variant = (case.task, case.variant.id)
        tally = self._tallies.get(variant)
        if tally is None:
            tally = self._tallies[variant] = _Tally()
        tally.cases += 1
        if failure is None:
            counters.done += 1
        else:
            ran = failure.kind is not FailureKind.NOT_RUN
            counters.done += ran  # what the end of the run left open is neither done nor failed: it is the next run's
            counters.failed += ran
            self.without_answer += not failure.kind.is_result
            tally.unrecorded += failure.kind is FailureKind.NOT_RECORDED
            tally.truncated += failure.kind is FailureKind.TRUNCATED
        if self.second_look is not None:
            self.second_look.finished()
            if done.paid:
                self.second_look.paid(case, failure, done.paid)

    def _add_rows_not_run(self, runner: CaseRunner) -> None:
        if len(self.spool) == self.plan.count():
            return
        try:
            for case in self.plan:
                if case.index not in self.spool:
                    self.spool.add_cells(case.index, *runner.not_run(case).row)
        except LlmbatchError as error:  # the samples cannot be read again: the rows there are, are written
            self._end(error)

    def _tell_of_given_up(self) -> None:
        """Name the cases that the end of the run has broken off."""
        if not self._given_up:
            return
        named = ", ".join(sorted(self._given_up)[:MOST_NAMED])
        more = f", and {len(self._given_up) - MOST_NAMED:,} more" if len(self._given_up) > MOST_NAMED else ""
        self.note(
            f"still on their way when the run ended: {named}{more}; "
            "what the service answers them may be paid for, and is asked again by the next run"
        )

    def _tell_of_cut_answers(self) -> None:
        """Say where so many answers were cut off that it can hardly be the answers."""
        for task, title, tally in self._tallied():
            if tally.truncated > CUT_OFF_SHARE * tally.cases:
                said = f"{tally.truncated:,} of {tally.cases:,} answers of {title} were cut off"
                self.note(f"{said}: let them be longer by max_tokens in the ask of {task.name}")

    def _end(self, error: LlmbatchError) -> None:
        self.stop.by_error(error)
        write_exception(self.run_log, "stopped", error)

    def _interrupted(self) -> None:
        self.stop.by_interrupt()
        self.note(f"stopping: what is on its way is awaited, {DRAIN_SECONDS:.0f} s at most; Ctrl-C again stops at once")

    def _keep_first(self, error: AuthorError) -> None:
        if self.first_error is None:
            self.first_error = error

    def unrecorded(self) -> dict[str, tuple[int, int]]:
        """Return, by variant title in plan order, the cases without a recorded answer and all cases."""
        return {title: (tally.unrecorded, tally.cases) for _, title, tally in self._tallied()}

    def _tallied(self) -> Iterator[tuple[PlannedTask, str, _Tally]]:
        """Yield each variant that has cases with a row, in plan order: its task, its title and its tally."""
        for task in self.plan.tasks:
            for variant in task.variants:
                tally = self._tallies.get((task, variant.id))
                if tally is not None:
                    yield task, task.title(variant), tally

    def exit_code(self) -> ExitCode:
        """Return what the process says of the run."""
        if self.stop.requested:
            return self.stop.exit_code
        if self.plan.count() == 0:
            return ExitCode.NOTHING_SELECTED
        return ExitCode.NO_ANSWER if self.without_answer else ExitCode.FINE


_PLACES_WITHOUT_A_FILE = ("messages[", "inline prompt")


def _with_what_the_run_knows(error: AuthorError, case: Case) -> AuthorError:
    """Say of an error that the rehearsal of a case met whose it is, and that nothing was paid."""
    if error.place is not None and error.place.startswith(_PLACES_WITHOUT_A_FILE):
        error.details = {"task": f"{case.task.name}, {case.task.place}", **error.details}
    error.place = error.place or case.task.place
    if "fix" in error.details:
        error.details["fix"] += "; no call was made"
    return error
