"""Running one case: inject, call, and turn whatever happens into one row. Never lets an author's exception out."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from types import FrameType
from typing import Any, NamedTuple

from llmbatch.asking.asker import Asker, Asking
from llmbatch.asking.bound import BoundAsk
from llmbatch.call.failure import Failure, FailureKind
from llmbatch.cassette.case import CaseContext, RehearsalOver, RunAgain, current_case
from llmbatch.config import ResolvedModel
from llmbatch.errors import LlmbatchError, PromptError
from llmbatch.experiment.answer import Answer
from llmbatch.plan import Case
from llmbatch.plan.variant import Variant
from llmbatch.runlog import Log, write_exception
from llmbatch.runner.counters import Counters
from llmbatch.runner.fixtures import Fixtures
from llmbatch.runner.foreign import ForeignCosts
from llmbatch.runner.linked import Links
from llmbatch.runner.outcome import (
    FATAL,
    FixtureFailed,
    answer_spoken_of,
    cost_of,
    failure_of_exception,
    failure_of_return,
    first_of,
)
from llmbatch.runner.passes import (
    MOST_PASSES,
    as_written,
    contained_exception,
    in_thread,
    is_run_again,
    settled,
)
from llmbatch.runner.row import NOT_RUN, Row, RowBuilder, columns_of_return


class Done(NamedTuple):
    """What one case came to."""

    row: Row
    failure: Failure | None
    error: Exception | None = None
    paid: int = 0


_done: Callable[[tuple[Any, ...]], Done] = partial(tuple.__new__, Done)  # a third of the time of Done(...)


class _Bound(NamedTuple):
    """What the cases of one variant have in common; `rest` is what an Asking has beside its case and model."""

    variant: Variant
    model: ResolvedModel | None
    rest: tuple[frozenset[str], str]
    arguments: dict[str, Any]
    taken: frozenset[str]


_asking_of: Callable[[tuple[Any, ...]], Asking] = partial(tuple.__new__, Asking)  # a third of the time of Asking(...)


async def _nothing() -> None:
    """Wait for nothing."""


@dataclass(frozen=True, slots=True)
class CaseRunner:
    """Runs cases one by one; holds what they share.

    `model_of` resolves the model of a case, `client_of` builds its ready `openai.AsyncOpenAI`. `before_again` is
    awaited before a case is run again: it may have come upon a model of which something must be known first.
    """

    asker: Asker
    model_of: Callable[[Case], ResolvedModel | None]
    client_of: Callable[[ResolvedModel | None], Any]
    executor: Executor
    run_log: Log
    counters: Counters
    before_again: Callable[[], Awaitable[None]] = _nothing
    fixtures: Fixtures | None = None
    _rows: RowBuilder = field(default_factory=RowBuilder)
    _bound: dict[str, _Bound] = field(default_factory=dict)
    _links: Links = field(init=False)
    _foreign_costs: ForeignCosts = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_links", Links(self.run_alone, self._run_in))
        object.__setattr__(self, "_foreign_costs", ForeignCosts(self.asker.store))

    def run(self, case: Case) -> Coroutine[Any, Any, Done]:
        """Return the case's row; raises only what must end the run."""
        return self._links.run(case) if case.task.is_linked else self.run_alone(case)

    async def run_alone(self, case: Case, *, is_seen: bool = True) -> Done:
        """Return the row of a case that has its sample. One that is not `is_seen` is counted, and told of, elsewhere.

        A task may give up an ask that is on its way (a time-out, a gather whose other half raised). That answer is
        paid for: it is awaited and recorded, and the task is run again, until every answer it wants is in the cassette
        and the row is the one that a replay makes.
        """
        if case.sample.error is not None:
            if case.task.source is None:
                self.run_log.write("sample_error", case=case.id, message=case.sample.error.message)
            elif is_seen:
                self._log(case, case.sample.error, None)
            return Done(self._rows.build(case, failure=case.sample.error), case.sample.error)
        context = CaseContext(case.id, case.repeat)
        passes = [context]
        try:
            done = await self._run_in(context, case)
            if context.pending or context.abandoned:
                done = await self._run_again(passes, case, done)
        except FATAL:
            for context in passes:
                with suppress(*FATAL):  # the first is raised already
                    await settled(context)
            raise
        finally:
            paid = self._count(passes, is_seen=is_seen)
        if done.failure is not None and is_seen:
            self._log(case, done.failure, done.error)
        return done if not paid else done._replace(paid=paid)

    async def _run_again(self, passes: list[CaseContext], case: Case, done: Done) -> Done:
        """Run a case until it waits for all that it asks; `passes` has the contexts so far, and gets the others."""
        await settled(passes[-1])
        while passes[-1].abandoned and len(passes) < MOST_PASSES:
            await self.before_again()
            passes.append(CaseContext(case.id, case.repeat))
            done = await self._run_in(passes[-1], case)
            await settled(passes[-1])
        return done

    def _count(self, passes: list[CaseContext], *, is_seen: bool) -> int:
        """Add what the passes of a case asked to the counters, each interaction once; return what was paid.

        What is found for a case that is not `is_seen` is counted where that case is run itself.
        """
        counters, last = self.counters if is_seen else Counters(), passes[-1]
        if not is_seen:
            self.counters.paid += sum([context.paid for context in passes])
        if len(passes) == 1:
            counters.paid += last.paid
            counters.cached += last.cached
            return last.paid
        paid = sum([context.paid for context in passes])
        counters.paid += paid
        counters.cached += max(0, last.paid + last.cached - paid)
        return paid

    async def rehearse(self, case: Case) -> LlmbatchError | None:
        """Run the case with nothing to call and counters of its own; whatever it raises is no matter.

        What is returned is the prompt's error that ended it, which would end the run from within a case.
        """
        context = CaseContext(case.id, case.repeat, rehearsal=True)
        token = current_case.set(context)
        try:
            if case.task.source is not None:
                case = await self._links.rehearsed(case)
                if case.sample.error is not None:
                    return None
            arguments = self._arguments(case, *self._bind(context, case))
            if self.fixtures is not None and case.task.injection.fixtures:
                arguments |= await self.fixtures.rehearsed(case.task.injection.fixtures, case.task.name)
            if case.task.is_async:
                await case.task.function(**arguments)
            else:
                await in_thread(self.executor, case.task.function, arguments)
        except (SystemExit, asyncio.CancelledError) as error:
            contained_exception(error)
        except (Exception, RehearsalOver) as error:  # noqa: BLE001 - the asker has noted what must stop the run
            return first_of(error, (PromptError,))
        except BaseExceptionGroup as group:  # of a TaskGroup
            if group.split((Exception, RehearsalOver))[1] is not None:
                raise
        finally:
            current_case.reset(token)
        return None

    @classmethod
    def is_running_in(cls, frame: FrameType) -> bool:
        """Whether a frame is that of a task, or of what a task has called."""
        link: FrameType | None = frame
        while link is not None and link.f_code is not cls._run_in.__code__:
            link = link.f_back
        return link is not None

    def forget_models(self) -> None:
        """Look up the models of cases anew: more is known of them now."""
        self._bound.clear()

    def not_run(self, case: Case) -> Done:
        """Return the row of a case that was never started."""
        return Done(self._rows.build(case, failure=NOT_RUN), NOT_RUN)

    async def _run_in(self, context: CaseContext, case: Case) -> Done:
        ask, bound = self._bind(context, case)
        token = current_case.set(context)
        error: Exception | None = None
        try:
            arguments = self._arguments(case, ask, bound)
            if self.fixtures is not None and case.task.injection.fixtures:
                provided = self.fixtures.rehearsed if context.rehearsal else self.fixtures.values
                arguments |= await provided(case.task.injection.fixtures, case.task.name)
            if case.task.is_async:
                returned = await case.task.function(**arguments)
            else:
                returned = await in_thread(self.executor, case.task.function, arguments)
            answers, cost_usd = ask.answers, cost_of(context)
            if cost_usd is None and context.foreign:
                cost_usd = self._foreign_costs.of(context, bound.model)
            answer: Answer[Any] | None
            if type(returned) is Answer and returned.failure is None and answers == [returned]:
                # a good answer that is the only one, as most are, needs no judging
                answer, columns, failure = returned, returned.columns, None
            else:
                answer, columns = answer_spoken_of(returned, answers) or ask.embedded, columns_of_return(returned)
                failure = failure_of_return(returned, answers)
            row = self._rows.build(
                case,
                failure=failure,
                context=context,
                answers=answers,
                answer=answer,
                columns=columns,
                cost_usd=cost_usd,
            )
        except (Exception, SystemExit, asyncio.CancelledError) as raised:  # noqa: BLE001 - one case's exception is its row
            error = contained_exception(raised)
            fatal = first_of(error, FATAL)
            if fatal is not None:
                raise fatal  # noqa: B904 - what wraps it says less, and is its context
            failure = failure_of_exception(error, ask.answers, context)
            answer = answer_spoken_of(None, ask.answers) or ask.embedded
            cost_usd = cost_of(context)
            if cost_usd is None and context.foreign:
                cost_usd = self._foreign_costs.of(context, bound.model)
            row = self._rows.build(
                case, failure=failure, context=context, answers=ask.answers, answer=answer, cost_usd=cost_usd
            )
        except (RunAgain, BaseExceptionGroup) as raised:
            if not context.abandoned or not is_run_again(raised):
                raise
            row, failure = self.not_run(case).row, NOT_RUN
        finally:
            current_case.reset(token)
        return _done((row, failure, error, 0))

    def _log(self, case: Case, failure: Failure, error: Exception | None) -> None:
        if failure.kind is FailureKind.NOT_RUN:  # how the run ended says it once for all of them
            return
        if failure.kind is FailureKind.TASK_ERROR and error is not None and not isinstance(error, FixtureFailed):
            write_exception(self.run_log, "task_error", error, case=case.id)
        else:
            self.run_log.write("warning", case=case.id, kind=str(failure.kind), message=failure.message)

    def _bind(self, context: CaseContext, case: Case) -> tuple[BoundAsk, _Bound]:
        """Return the case's `ask`, and what its variant's cases have in common."""
        variant = case.variant
        bound = self._bound.get(variant.id)
        if bound is None or bound.variant is not variant:
            bound = self._bound[variant.id] = self._bound_to(case)
        return BoundAsk(self.asker, _asking_of((context, bound.model, *bound.rest))), bound

    def _arguments(self, case: Case, ask: BoundAsk, bound: _Bound) -> dict[str, Any]:
        """Return what to call the case's task with. Raises ConfigError for a client without a model."""
        taken, arguments = bound.taken, bound.arguments.copy()
        if "sample" in taken:
            arguments["sample"] = _own_copy(case.sample.value)
        if "ask" in taken:
            arguments["ask"] = ask
        if "client" in taken:
            arguments["client"] = self.client_of(bound.model)
        return arguments

    def _bound_to(self, case: Case) -> _Bound:
        """Work out what the cases of a variant are called with, whatever their sample."""
        task, model = case.task, self.model_of(case)
        arguments: dict[str, Any] = {}
        for name in task.arguments:
            if name == "model":
                arguments[name] = as_written(model)
            elif name not in ("sample", "ask", "client"):
                arguments[name] = case.variant.values[name]
        return _Bound(case.variant, model, (task.withheld, task.samples.name), arguments, frozenset(task.arguments))


_SCALARS = frozenset({str, int, float, bool, type(None)})


def _own_copy(value: object) -> object:
    """Return the case's own copy of a sample: what a task does to it reaches neither its row nor another case."""
    if type(value) is dict and _SCALARS.issuperset(map(type, value.values())):
        return value.copy()
    try:
        return copy.deepcopy(value)
    except Exception:  # noqa: BLE001 - an author's object may refuse to be copied, and is then shared
        return value
