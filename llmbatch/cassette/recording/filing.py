"""Whose request it is, and what became of it: from a vcrpy request to a Call, from a reply to the Store.

Knows no vcrpy class and no HTTP library: requests come as vcrpy's stubs make them, and carry what was found
out about them in an attribute, so that it is found out once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NoReturn
from urllib.parse import urlsplit

from llmbatch.call.failure import FailureKind
from llmbatch.call.values import RecordedFailure, Reply, Request, instant_text
from llmbatch.cassette.case import CaseContext, Exchange, current_case, current_exchange
from llmbatch.cassette.recording.wire import Attempt, Sent, current_attempt, request_body, request_headers
from llmbatch.cassette.store import Store
from llmbatch.errors import LlmbatchError, NoAnswerRecorded
from llmbatch.policy import verdict_of_exception


class Filing:
    """Binds requests to calls, and files replies and failures where they belong. Safe in several threads."""

    def __init__(self, store: Store, warn: Callable[[str], None]) -> None:
        self.store = store
        self._warn = warn
        self._hosts_warned: set[str] = set()

    @contextmanager
    def attempt(self) -> Iterator[Attempt]:
        """Bracket one call of an HTTP library: what it began and did not finish has failed when it ends."""
        attempt = Attempt()
        token = current_attempt.set(attempt)
        failure: BaseException | None = None
        try:
            yield attempt
        except BaseException as error:
            failure = error
            raise
        finally:
            current_attempt.reset(token)
            for sent in attempt.pending:
                self._abandon(sent, failure)

    def identify(self, request: Any, *, appending: bool = False) -> Sent:
        """Return what a vcrpy request is, the same for the same object. Raises AmbiguousDraw.

        `appending`: its response has come, so it is no longer on its way. aiohttp's stub makes new objects
        for that, which are found again by their digest.
        """
        known: Sent | None = getattr(request, "llmbatch_sent", None)
        attempt = current_attempt.get()
        if known is not None:
            if appending and attempt is not None:
                attempt.take(known.call.request.digest)
            return known
        asked = self._asked(request)
        sent = attempt.take(asked.digest) if appending and attempt is not None else None
        if sent is None:
            sent = self._begin(asked)
            if attempt is not None and not appending:
                attempt.pending.append(sent)
        request.llmbatch_sent = sent
        return sent

    def begin_asked(self, exchange: Exchange) -> Sent:
        """Return an exchange of `ask` as sent now. Whoever sends it knows what it means if no reply comes."""
        assert exchange.call is not None
        return Sent(exchange.call, current_case.get(), exchange, time.perf_counter_ns())

    def _asked(self, request: Any) -> Request:
        """Return the request as stored; `ask` has done that work for its own, which is not done twice."""
        body = request_body(request)
        exchange = current_exchange.get()
        if exchange is not None and exchange.call is not None:
            asked = exchange.call.request
            if (asked.url, asked.method, asked.body) == (request.uri, request.method, body):
                return asked
        return self.store.request(request.method, request.uri, request_headers(request), body)

    def _begin(self, asked: Request) -> Sent:
        started_ns = time.perf_counter_ns()
        case = current_case.get()
        exchange = current_exchange.get()
        if exchange is not None and exchange.call is not None:
            if exchange.call.request.digest == asked.digest:
                return Sent(exchange.call, case, exchange, started_ns)
            exchange = None
        ordinal = 0 if case is None else case.begin_foreign(asked.digest)
        call = self.store.call(asked, 0 if case is None else case.repeat, ordinal)
        if case is None and self.store.can_record:
            self._warn_of(asked.url)
        return Sent(call, case, exchange, started_ns)

    def may_send(self, case: CaseContext | None) -> bool:
        """Whether a request without an answer may go out."""
        return self.store.can_record and (case is None or case.may_send)

    def answered(self, sent: Sent, reply: Reply, *, paid: bool) -> None:
        """Tell the exchange and the case of an answer, recorded just now (`paid`) or found."""
        if sent.exchange is not None:
            sent.exchange.call = sent.call
            sent.exchange.reply = reply
            sent.exchange.failure = None
            sent.exchange.replayed = not paid
        if sent.case is not None and sent.is_foreign:  # `ask` notes its own: of two equal calls only one counts
            sent.case.note_foreign(sent.call, reply, paid=paid)
            sent.case.end_foreign(sent.call.request.digest, answered=True)
        if not paid:
            self._close(sent)

    def failed(self, sent: Sent, reply: Reply | None, kind: FailureKind, message: str) -> None:
        """File what answered nothing. `reply` None: no whole reply came."""
        message = self.store.scrub_text(message)  # a row says the same now as in a replay
        now = instant_text(datetime.now(UTC))
        self.store.record_failure(sent.call, kind, message, reply=reply, case=case_id_of(sent.case), recorded_at=now)
        attempt = current_attempt.get()
        if attempt is not None and reply is not None:
            attempt.live = True
        if sent.exchange is not None:
            sent.exchange.call = sent.call
            sent.exchange.reply = reply
            sent.exchange.failure = RecordedFailure(sent.call, kind, message, reply)
        if sent.case is not None and sent.is_foreign:
            digest = sent.call.request.digest
            sent.case.note_failure(RecordedFailure(sent.call, kind, message, reply).as_failure(), digest)
            sent.case.end_foreign(digest, answered=False)

    def _abandon(self, sent: Sent, error: BaseException | None) -> None:
        """Close a request that brought no reply. A cancellation or an error of ours is no service's failure.

        Errors of `ask`'s own calls are left to the engine, which knows the deadline behind a cancellation.
        """
        was_sent = sent.is_foreign and sent.found is None
        if was_sent and isinstance(error, Exception) and not isinstance(error, LlmbatchError):
            verdict = verdict_of_exception(error)
            kind = verdict.kind or FailureKind.CONNECT_ERROR
            self.failed(sent, None, kind, verdict.message or f"{type(error).__name__}: {error}")
        elif sent.case is not None and sent.is_foreign:
            sent.case.end_foreign(sent.call.request.digest, answered=False)

    def _close(self, sent: Sent) -> None:
        attempt = current_attempt.get()
        if attempt is not None and sent in attempt.pending:
            attempt.pending.remove(sent)

    def refuse(self, sent: Sent) -> NoReturn:
        """Raise NoAnswerRecorded for a request that has no answer and may not be sent."""
        call, case = sent.call, sent.case
        self._close(sent)
        if case is not None and sent.is_foreign:
            case.end_foreign(call.request.digest, answered=False)
        details = {"case": case.case_id if case is not None else "none: the request belongs to no case"}
        mode = self.store.record_mode
        details["mode"] = mode if case is None or case.may_send else "none (a rehearsal)"
        failure = self.store.missed(call)
        if failure is not None:
            details["failure"] = f"the last attempt ended in {failure.kind}: {failure.message}"
            if case is not None and sent.is_foreign:
                case.note_failure(failure.as_failure(), call.request.digest)
        raise NoAnswerRecorded(
            f"no recorded answer for {call.request.method} {call.request.url}",
            **details,
            fix="run again with --record-mode new_episodes (no --offline) to make the call",
        )

    def _warn_of(self, url: str) -> None:
        host = urlsplit(url).netloc
        if host not in self._hosts_warned:
            self._hosts_warned.add(host)
            self._warn(
                f"a request to {host} is recorded under no case, so equal ones share one answer: "
                "a thread that is to belong to its case is started by asyncio.to_thread, "
                "or runs in contextvars.copy_context()"
            )


def case_id_of(case: CaseContext | None) -> str | None:
    """Return the id a line is recorded under."""
    return None if case is None else case.case_id
