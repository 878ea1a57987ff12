"""Making what cases share, each fixture once, and tearing it down. Knows no row."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from llmbatch.asking.asker import Asker, Asking
from llmbatch.asking.bound import FixtureAsk
from llmbatch.call.failure import Failure, FailureKind
from llmbatch.cassette.case import FIXTURE, CaseContext, RehearsalOver, RunAgain, current_case
from llmbatch.config import ResolvedModel
from llmbatch.errors import TaskError
from llmbatch.experiment.answer import Answer
from llmbatch.experiment.fixtures import Fixture
from llmbatch.runlog import Log, write_exception
from llmbatch.runner.counters import Counters
from llmbatch.runner.outcome import FATAL, FixtureFailed, failure_of_exception, first_of
from llmbatch.runner.passes import MOST_PASSES, as_written, contained_exception, in_thread, is_run_again, settled
from llmbatch.runner.row import NOT_RUN

_NOTHING = object()
_FOR_GOOD = frozenset({FailureKind.BAD_REQUEST, FailureKind.CONTEXT_LENGTH})
"""Refusals that are recorded: a fixture that goes on after one is the same again in a replay."""

_Key = tuple[Fixture, str]


class _Made(NamedTuple):
    """A fixture's value, or why it has none. `rest` is what is to be run when it is torn down."""

    fixture: Fixture
    context: CaseContext
    value: object = None
    failure: Failure | None = None
    rest: Generator[object] | AsyncGenerator[object] | None = None
    ask: FixtureAsk | None = None


@dataclass(slots=True)
class Fixtures:
    """The fixtures of a run. The first case that needs one has it made, in a case of its own; the others wait.

    `default_model` is what its `ask` puts questions to. Where a fixture has to do without an answer that a later run
    may get, it has no value, whatever it returns: what is made of it would differ then.
    """

    asker: Asker
    default_model: Callable[[], ResolvedModel | None]
    client_of: Callable[[ResolvedModel | None], Any]
    executor: Executor
    run_log: Log
    counters: Counters
    note: Callable[[str], None] = lambda text: None
    before_again: Callable[[], Awaitable[None]] | None = None
    may_be_rehearsed: bool = False
    _makings: dict[_Key, asyncio.Future[_Made]] = field(default_factory=dict)
    _unrehearsed: set[_Key] = field(default_factory=set)
    _standing: list[_Made] = field(default_factory=list)

    async def values(self, fixtures: Sequence[Fixture], task: str) -> dict[str, object]:
        """Return the values by name for a case of a task. Raises FixtureFailed, and what must end the run."""
        return {each.name: _value_of(await self._making(each, task)) for each in fixtures}

    async def rehearsed(self, fixtures: Sequence[Fixture], task: str) -> dict[str, object]:
        """Return the values for a rehearsal, which calls nothing. Raises RehearsalOver for one that would call.

        One that needs no call is made for good.
        """
        return {each.name: _value_of(await self._rehearsal(each, task)) for each in fixtures}

    async def close(self) -> None:
        """Tear down what was made, the last first. Never raises for what a fixture raises."""
        for making in self._makings.values():
            making.cancel()
        await asyncio.gather(*self._makings.values(), return_exceptions=True)
        while self._standing:
            await self._tear_down(self._standing.pop())

    def _making(self, fixture: Fixture, task: str) -> Awaitable[_Made]:
        key = _key(fixture, task)
        making = self._makings.get(key)
        if making is None:  # in a task of its own: the case that needs it first may be given up
            making = self._makings[key] = asyncio.ensure_future(self._make(fixture, task))
        return asyncio.shield(making)

    async def _rehearsal(self, fixture: Fixture, task: str) -> _Made:
        key = _key(fixture, task)
        making = self._makings.get(key)
        if making is not None and making.done():
            return making.result()
        if making is not None or key in self._unrehearsed or not self.may_be_rehearsed:
            raise RehearsalOver
        self._unrehearsed.add(key)
        needs = await self.rehearsed(fixture.needs, task)
        context = _context(fixture, task, rehearsal=True)
        made = await self._once(fixture, needs, context)
        await settled(context)
        if made.failure is not None or context.abandoned:
            await self._tear_down(made)
            raise RehearsalOver
        self._count([context])
        context.rehearsal = False  # it stands: what it asks when it is torn down may be sent
        done = self._makings[key] = asyncio.get_running_loop().create_future()
        done.set_result(self._stands(made))
        return made

    async def _make(self, fixture: Fixture, task: str) -> _Made:
        passes = [_context(fixture, task)]
        try:
            needs = await self.values(fixture.needs, task)
        except FixtureFailed as error:
            return _Made(fixture, passes[0], failure=error.failure)
        made = await self._once(fixture, needs, passes[0])
        await settled(passes[0])
        while passes[-1].abandoned and len(passes) < MOST_PASSES:
            await self._tear_down(made)
            if self.before_again is not None:
                await self.before_again()
            passes.append(_context(fixture, task))
            made = await self._once(fixture, needs, passes[-1])
            await settled(passes[-1])
        self._count(passes)
        return self._stands(made)

    async def _once(self, fixture: Fixture, needs: dict[str, object], context: CaseContext) -> _Made:
        """Run a fixture up to its value. Raises what must end the run."""
        model = self.default_model() if fixture.arguments else None
        ask = FixtureAsk(self.asker, Asking(context, model), fixture.name, fixture.place)
        token = current_case.set(context)
        value, rest, failure = None, None, None
        try:
            provided: dict[str, Callable[[], object]] = {
                "ask": lambda: ask,
                "client": lambda: self.client_of(model),
                "model": lambda: as_written(model),
            }
            arguments = needs | {name: provided[name]() for name in fixture.arguments}
            value, rest = await self._begun(fixture, arguments)
            failure = _missing(ask.answers, context)
        except (Exception, SystemExit, asyncio.CancelledError) as raised:  # noqa: BLE001 - a fixture may raise anything
            error = contained_exception(raised)
            fatal = first_of(error, FATAL)
            if fatal is not None:
                raise fatal  # noqa: B904 - what wraps it says less, and is its context
            failure = failure_of_exception(error, ask.answers, context)
            if failure.kind is FailureKind.TASK_ERROR and not context.rehearsal:
                write_exception(self.run_log, "task_error", error, case=context.case_id)
        except (RunAgain, BaseExceptionGroup) as raised:
            if not context.abandoned or not is_run_again(raised):
                raise
            failure = NOT_RUN
        finally:
            current_case.reset(token)
            ask.is_open = False
        if failure is not None:
            failure = Failure(failure.kind, f"fixture {fixture.name}: {failure.message}", failure.detail)
        return _Made(fixture, context, value, failure, rest, ask)

    async def _begun(
        self, fixture: Fixture, arguments: dict[str, object]
    ) -> tuple[object, Generator[object] | AsyncGenerator[object] | None]:
        """Return the value, and what yielded it."""
        if not fixture.yields:
            if fixture.is_async:
                return await fixture.function(**arguments), None
            return await in_thread(self.executor, fixture.function, arguments), None
        rest: Generator[object] | AsyncGenerator[object] = fixture.function(**arguments)
        value = await self._next(rest)
        if value is _NOTHING:
            raise TaskError(
                f"the fixture {fixture.name} ended without a `yield`",
                place=fixture.place,
                fix="yield the value on every way through it",
            )
        return value, rest

    async def _next(self, rest: Generator[object] | AsyncGenerator[object]) -> object:
        if isinstance(rest, AsyncGenerator):
            return await anext(rest, _NOTHING)
        following: Generator[object] = rest
        return await in_thread(self.executor, lambda: next(following, _NOTHING), {})

    def _stands(self, made: _Made) -> _Made:
        if made.rest is not None:
            self._standing.append(made)
        return made

    async def _tear_down(self, made: _Made) -> None:
        """Run what stands behind the `yield`; what it raises is told, and changes nothing."""
        rest, name, context = made.rest, made.fixture.name, made.context
        if rest is None:
            return
        paid, cached = context.paid, context.cached
        token = current_case.set(context)
        if made.ask is not None:
            made.ask.is_open = True
        try:
            if await self._next(rest) is not _NOTHING:
                self.note(f"the fixture {name} yields twice; what stands behind the second is not run")
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the rows are there
            self.note(f"the fixture {name} raised when it was torn down: {type(error).__name__}: {error}")
            write_exception(self.run_log, "task_error", error, case=context.case_id)
        finally:
            current_case.reset(token)
            self.counters.paid += context.paid - paid
            self.counters.cached += context.cached - cached

    def _count(self, passes: Sequence[CaseContext]) -> None:
        """Add what was asked to the counters, each interaction once."""
        paid, last = sum([context.paid for context in passes]), passes[-1]
        self.counters.paid += paid
        self.counters.cached += max(0, last.paid + last.cached - paid)


def _key(fixture: Fixture, task: str) -> _Key:
    return fixture, task if fixture.scope == "task" else ""


def _context(fixture: Fixture, task: str, *, rehearsal: bool = False) -> CaseContext:
    title = f"{fixture.name}[{task}]" if fixture.scope == "task" else fixture.name
    return CaseContext(f"{FIXTURE}{title}", 0, rehearsal=rehearsal)


def _value_of(made: _Made) -> object:
    if made.failure is not None:
        raise FixtureFailed(made.failure)
    return made.value


def _missing(answers: Sequence[Answer[Any] | None], context: CaseContext) -> Failure | None:
    """Return the failure of a call that a later run asks again."""
    for answer in answers:
        kind = None if answer is None else answer.failure
        if answer is not None and kind is not None and not kind.is_result and kind not in _FOR_GOOD:
            return Failure(kind, answer.failure_message, answer.failure_detail)
    return context.failures[-1] if context.failures else None
