"""Replaying an experiment with nothing to call, only to hear what it asks of its cassette. Writes no results.

It runs the author's tasks, as any run does; nothing can be called, and what they return is looked at for failures
only.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Protocol

from llmbatch.asking.asker import Asker
from llmbatch.call.failure import Failure, FailureKind
from llmbatch.call.values import Call, RecordedFailure, Reply
from llmbatch.cassette.case import CaseContext, current_case
from llmbatch.cassette.retrying import is_asked_again
from llmbatch.cassette.store import Store
from llmbatch.config import ResolvedModel
from llmbatch.errors import InternalError
from llmbatch.invocation.intercepting import intercepted
from llmbatch.invocation.known_models import KnownModels
from llmbatch.invocation.live_side import LiveSide
from llmbatch.invocation.models import Clients, Models
from llmbatch.invocation.opening import make_store
from llmbatch.invocation.paying import make_spending
from llmbatch.invocation.prepared import Prepared
from llmbatch.invocation.steps import Display
from llmbatch.invocation.work import TASK_THREADS
from llmbatch.money.book import PriceBook
from llmbatch.money.purse import Purse
from llmbatch.plan import Case
from llmbatch.policy import verdict_of_reply
from llmbatch.prompt import Prompts
from llmbatch.runlog import NoLog
from llmbatch.runner.case import CaseRunner
from llmbatch.runner.counters import Counters
from llmbatch.runner.fixtures import Fixtures
from llmbatch.runner.pool import run_window
from llmbatch.runner.stop import Stop


class Listener(Protocol):
    """Hears of every call that is looked up: from any thread, of one at a time."""

    def found(self, key: bytes) -> None:
        """Hear of a call that has an answer."""
        ...

    def missed(self, call: Call, case: str | None, failure: RecordedFailure | None) -> None:
        """Hear of a call that has none, with the last failed attempt at it."""
        ...

    def probe_found(self, key: bytes) -> None:
        """Hear of a recorded reply to a question that is no case's: what a model can do."""
        ...

    def probe_missed(self, call: Call, wire: bytes) -> None:
        """Hear of such a question that a run would ask."""
        ...


@dataclass(slots=True)
class Watched:
    """What the cases came to. `failures` counts those without an answer by category, with the first of each."""

    cases: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, case: Case, failure: Failure | None) -> None:
        """Count one case."""
        self.cases += 1
        if failure is None or failure.kind.is_result:
            return
        kind = str(failure.kind)
        self.failures[kind] = self.failures.get(kind, 0) + 1
        self.examples.setdefault(kind, f"{case.id}: {failure.message}")


async def watched_replay(
    prepared: Prepared,
    listener: Listener,
    display: Display,
    counters: Counters,
    *,
    wanted: Callable[[Case], bool] = lambda case: True,
    most: int | None = None,
) -> Watched:
    """Replay the cases that are `wanted`, or the first `most` of them, and tell the listener of every call.

    Nothing is called, whatever mode `prepared` is of; in another one than `none`, endpoints are those that a run calls.
    Raises what would end a run.
    """
    plan, config = prepared.plan, prepared.config
    watched = Watched()
    with ExitStack() as stack:
        offline = prepared.mode.mode == "none"
        mode = prepared.mode._replace(mode="none")
        store = make_store(prepared.cassette, mode, plan, config, prepared.secrets, kind=_WatchedStore)
        stack.enter_context(store)
        store.listener = listener
        store.asks_again = prepared.settings.retry_errors
        known = KnownModels(store, partial(_find_probe, store), may_probe=not offline)
        models = Models(
            config, store.recorded_base_url, store.recorded_model_name, offline=offline, informed=known.informed
        )
        asked = models.of_plan(plan)
        stop = Stop()
        spending = make_spending(
            PriceBook(), Purse(), store, models=asked.values(), stop=stop, log=NoLog(), note=display.note
        )
        live = LiveSide(prepared, store, stop, counters=counters, spending=spending, note=display.note, log=NoLog())
        asker = Asker(store, Prompts(plan.experiment.base_folders), models.resolve)
        asker.on_unprobed = partial(_tell_of_probe, known, listener, set())
        clients = Clients(live.build_client)
        executor = ThreadPoolExecutor(prepared.window, thread_name_prefix=TASK_THREADS)
        fixtures = Fixtures(asker, models.default, clients.of, executor, NoLog(), counters, display.note)
        runner = CaseRunner(asker, models.of_case, clients.of, executor, NoLog(), counters, fixtures=fixtures)
        stack.enter_context(intercepted(store, config.allow_hosts, stop, display.note))
        stack.callback(display.stop)

        async def work(case: Case) -> None:
            done = await runner.run(case)
            watched.add(case, done.failure)
            counters.done += 1
            counters.failed += done.failure is not None

        try:
            cases = islice((case for case in plan if wanted(case)), most)
            await run_window(cases, work, window=prepared.window, may_start=lambda: not stop.requested)
        finally:
            await fixtures.close()
            await clients.close()
            await live.close()
            executor.shutdown(wait=False, cancel_futures=True)
    if store.heard < counters.cached:  # what is not heard would be taken for no longer asked
        raise InternalError(
            f"{counters.cached} answers were taken from the cassette, and {store.heard} were heard of",
            fix="report this",
        )
    return watched


def _find_probe(store: _WatchedStore, key: bytes) -> Reply | None:
    """Return a recorded reply to a probe, which no run asks again."""
    reply = Store.find(store, key)
    if reply is not None and store.listener is not None:
        store.listener.probe_found(key)
    return reply


def _tell_of_probe(
    known: KnownModels, listener: Listener, told: set[int], model: ResolvedModel, case: CaseContext
) -> None:
    """Tell, once for each model, of the probe that a run would make before a question of a case."""
    if id(model) not in told and known.is_to_be_probed(model):
        told.add(id(model))
        for call, wire in known.missing_questions(model):
            listener.probe_missed(call, wire)


class _WatchedStore(Store):
    """A Store that says what it is asked for. Where it `asks_again`, recorded refusals are misses."""

    listener: Listener | None = None
    asks_again = False
    heard = 0
    _telling = threading.Lock()

    def find(self, key: bytes) -> Reply | None:
        reply = super().find(key)
        if reply is not None and self.asks_again and is_asked_again(reply):
            return None
        if reply is not None and self.listener is not None:
            with self._telling:
                self.heard += 1
                self.listener.found(key)
        return reply

    def missed(self, call: Call) -> RecordedFailure | None:
        failure = super().missed(call) or self._refusal(call)
        if self.listener is not None:
            case = current_case.get()
            with self._telling:
                self.listener.missed(call, None if case is None else case.case_id, failure)
        return failure

    def _refusal(self, call: Call) -> RecordedFailure | None:
        """Return what is asked again, and why: the refusal that is recorded."""
        reply = super().find(call.key) if self.asks_again else None
        if reply is None:
            return None
        verdict = verdict_of_reply(reply, url=call.request.url)
        return RecordedFailure(call, str(verdict.kind or FailureKind.BAD_REQUEST), verdict.message, reply)
