"""An author's code run once: what it raises is contained, and what it left on its way is awaited."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from llmbatch.cassette.case import CaseContext, RunAgain
from llmbatch.config import ResolvedModel
from llmbatch.experiment.ask import Model
from llmbatch.runner.outcome import FATAL

MOST_PASSES = 10
"""How often a task is run again for answers that it did not wait for. Each pass records one more, or is the last."""

TURNS_OF_A_BRANCH = 5
"""Turns of the event loop in which a branch that goes on behind its case's back asks its next question."""


class TaskLeft(Exception):
    """A task raised what would end the process or the event loop; here it is an exception like any other."""


def contained_exception(raised: BaseException) -> Exception:
    """Return what a task raised as an exception like any other. Raises it where the case itself is cancelled."""
    match raised:
        case SystemExit():
            called = type(raised) is SystemExit
            left = TaskLeft(f"the task called exit({raised.code!r})" if called else f"the task was {raised.code}")
        case asyncio.CancelledError():
            running = asyncio.current_task()
            if running is not None and running.cancelling():
                raise raised
            left = TaskLeft("the task awaited something that was cancelled")
        case _:
            assert isinstance(raised, Exception)
            return raised
    left.__cause__ = raised
    return left


def is_run_again(raised: BaseException) -> bool:
    """Whether a case was left to be run again: by an exception of its own, or by one of a TaskGroup's."""
    if isinstance(raised, BaseExceptionGroup):
        return raised.split((Exception, RunAgain))[1] is None
    return isinstance(raised, RunAgain)


async def settled(context: CaseContext) -> None:
    """Wait until nothing of a case is on its way any more. Raises what must end the run, if an ask met it."""
    while context.pending:
        context.abandoned = True
        asks = set(context.pending)
        await asyncio.wait(asks)
        for ask in asks:
            error = None if ask.cancelled() else ask.exception()
            if isinstance(error, FATAL):
                raise error
        for _ in range(TURNS_OF_A_BRANCH):
            await asyncio.sleep(0)


async def in_thread(executor: Executor, function: Callable[..., object], arguments: dict[str, Any]) -> object:
    """Call a sync function in a thread that knows its case."""
    call = contextvars.copy_context().run
    return await asyncio.get_running_loop().run_in_executor(executor, lambda: call(contained, function, arguments))


def contained(function: Callable[..., object], arguments: dict[str, Any]) -> object:
    """Call a sync task in its thread; a future can carry any exception but StopIteration."""
    try:
        return function(**arguments)
    except StopIteration as error:
        raise TaskLeft("StopIteration: `next` found nothing") from error


def as_written(model: ResolvedModel | None) -> Model | None:
    """Return the model as a task gets it: its text, with what other SDKs need beside it."""
    if model is None:
        return None
    key = model.key.reveal() if model.key is not None else ""
    return Model(model.text, name=model.name, base_url=model.base_url, api_key=key)
