"""Running one case: inject, call, and turn whatever happens into one row. Never lets an author's exception out."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import math
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from llmbatch.asking.asker import Asker, Asking, BoundAsk
from llmbatch.call.failure import Failure, FailureKind
from llmbatch.cassette.case import CaseContext, current_case
from llmbatch.config import ResolvedModel
from llmbatch.errors import (
    AnswerError,
    CassetteDamaged,
    DiskError,
    InternalError,
    LlmbatchError,
    NoAnswerRecorded,
    PromptError,
)
from llmbatch.experiment.answer import Answer
from llmbatch.experiment.ask import Model
from llmbatch.plan import Case
from llmbatch.runner.log import RunLog
from llmbatch.runner.row import NOT_RUN, build_row, columns_of_return

FATAL = (PromptError, DiskError, CassetteDamaged, InternalError)
"""What ends the run from inside a case: nothing good can come of the next one."""


@dataclass(frozen=True, slots=True)
class Done:
    """What one case came to."""

    row: dict[str, Any]
    failure: Failure | None
    context: CaseContext | None


@dataclass(frozen=True, slots=True)
class CaseRunner:
    """Runs cases one by one; holds what they share.

    `model_of` resolves the model of a case, `client_of` builds its ready `openai.AsyncOpenAI`.
    """

    asker: Asker
    model_of: Callable[[Case], ResolvedModel | None]
    client_of: Callable[[ResolvedModel | None], Any]
    executor: Executor
    run_log: RunLog

    async def run(self, case: Case) -> Done:
        """Return the case's row; raises only what must end the run."""
        if case.sample.error is not None:
            self.run_log.write("sample_error", case=case.id, message=case.sample.error.message)
            return Done(build_row(case, failure=case.sample.error), case.sample.error, None)
        context = CaseContext(case.id, case.repeat)
        token = current_case.set(context)
        try:
            return await self._run_in(context, case)
        finally:
            current_case.reset(token)

    async def rehearse(self, case: Case) -> None:
        """Run the case with nothing to call and counters of its own; whatever it raises is no matter."""
        context = CaseContext(case.id, case.repeat, rehearsal=True)
        token = current_case.set(context)
        try:
            await self._call_task(case, self._bind(context, case))
        except Exception:  # noqa: BLE001 - the asker has noted what must stop the run
            return
        finally:
            current_case.reset(token)

    def not_run(self, case: Case) -> Done:
        """Return the row of a case that was never started."""
        return Done(build_row(case, failure=NOT_RUN), NOT_RUN, None)

    async def _run_in(self, context: CaseContext, case: Case) -> Done:
        ask = self._bind(context, case)
        try:
            returned = await self._call_task(case, ask)
            answer, columns = _answer_spoken_of(returned, ask), columns_of_return(returned)
            failure = _failure_of_return(returned)
            row = build_row(
                case, failure=failure, context=context, answer=answer, columns=columns, cost_usd=_cost(context)
            )
        except FATAL:
            raise
        except Exception as error:  # noqa: BLE001 - one case's exception is that case's row
            failure = _failure_of_exception(error, context)
            if failure.kind is FailureKind.TASK_ERROR:
                self.run_log.write_exception("task_error", error, case=case.id)
            answer = _answer_spoken_of(None, ask)
            row = build_row(case, failure=failure, context=context, answer=answer, cost_usd=_cost(context))
        if failure is not None and failure.kind is not FailureKind.TASK_ERROR:
            self.run_log.write("warning", case=case.id, kind=str(failure.kind), message=failure.message)
        return Done(row, failure, context)

    def _bind(self, context: CaseContext, case: Case) -> BoundAsk:
        withheld = frozenset({case.task.truth} if case.task.truth is not None else ())
        return BoundAsk(self.asker, Asking(context, self.model_of(case), withheld, case.task.samples.name))

    async def _call_task(self, case: Case, ask: BoundAsk) -> object:
        arguments = self._arguments(case, ask)
        if case.task.is_async:
            return await case.task.function(**arguments)
        call = contextvars.copy_context().run
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.executor, lambda: call(case.task.function, **arguments))

    def _arguments(self, case: Case, ask: BoundAsk) -> dict[str, Any]:
        arguments: dict[str, Any] = {}
        for name in case.task.arguments:
            match name:
                case "sample":
                    # repeats share one sample, and what a task does to it must not reach the next repeat
                    shared = case.task.repeat > 1
                    arguments[name] = copy.deepcopy(case.sample.value) if shared else case.sample.value
                case "ask":
                    arguments[name] = ask
                case "client":
                    arguments[name] = self.client_of(self.model_of(case))
                case "model":
                    arguments[name] = _as_written(self.model_of(case))
                case _:
                    arguments[name] = case.variant.values[name]
        return arguments


def _as_written(model: ResolvedModel | None) -> Model | None:
    """Return the model as a task gets it: its text, with what other SDKs need beside it."""
    if model is None:
        return None
    key = model.key.reveal() if model.key is not None else ""
    return Model(model.text, name=model.name, base_url=model.base_url, api_key=key)


def _answer_spoken_of(returned: object, ask: BoundAsk) -> Answer[Any] | None:
    if isinstance(returned, Answer):
        return returned
    spoken = getattr(returned, "answer", None)
    if isinstance(spoken, Answer):
        return spoken
    put = [answer for answer in ask.answers if answer is not None]
    return put[-1] if put else None


def _failure_of_return(returned: object) -> Failure | None:
    answer = returned if isinstance(returned, Answer) else getattr(returned, "answer", None)
    if isinstance(answer, Answer) and answer.failure is not None:
        return Failure(answer.failure, answer.failure_message)
    return None


def _failure_of_exception(error: Exception, context: CaseContext) -> Failure:
    while isinstance(error, ExceptionGroup):  # a TaskGroup's; the first of its errors is what happened
        error = error.exceptions[0]
    if isinstance(error, AnswerError):
        return Failure(FailureKind(error.kind), error.what, type(error).__name__)
    if isinstance(error, NoAnswerRecorded):
        if context.failures:
            return context.failures[-1]
        return Failure(FailureKind.NOT_RECORDED, error.what, type(error).__name__)
    if context.failures and not isinstance(error, LlmbatchError):
        # the exception of an SDK over a reply that the service's failure explains
        return context.failures[-1]
    message = error.line() if isinstance(error, LlmbatchError) else f"{type(error).__name__}: {error}"
    return Failure(FailureKind.TASK_ERROR, message, type(error).__name__)


def _cost(context: CaseContext) -> float | None:
    if not context.costs_usd or any(cost is None for cost in context.costs_usd):
        return None
    # fsum: the sum of gathered asks must not depend on the order in which they ended
    return math.fsum(cost for cost in context.costs_usd if cost is not None)
