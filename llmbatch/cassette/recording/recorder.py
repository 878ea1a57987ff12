"""The vcrpy seam: every HTTP library vcrpy patches is answered from a Store, or recorded into it.

`VcrCassette` is the one subclass of vcrpy's cassette: keyed look-up in place of the list scan, append in
place of save-at-exit. It knows no task, sample or model; which case a request belongs to comes from
`llmbatch.cassette.case`. Importing this module imports vcrpy and with it every HTTP library it patches, so
only what may send does. What it leans on in vcrpy is listed and checked in
tests/cassette/recording/test_vcrpy_seam.py.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import vcr.patch
from vcr.cassette import Cassette
from vcr.record_mode import RecordMode

from llmbatch.call.failure import FailureKind
from llmbatch.call.values import Headers, Reply, instant_text
from llmbatch.cassette.case import current_case
from llmbatch.cassette.recording import canary
from llmbatch.cassette.recording.exclusive import one_a_process
from llmbatch.cassette.recording.filing import Filing, case_id_of
from llmbatch.cassette.recording.patching import (
    handing_on_what_was_stored,
    names_bound_before_kept,
    real_connections_kept,
)
from llmbatch.cassette.recording.wire import (
    Sent,
    UndecodableBodyError,
    current_attempt,
    decoded,
    reply_of,
    response_of,
)
from llmbatch.cassette.store import Store
from llmbatch.errors import InternalError
from llmbatch.policy import verdict_of_reply

log = logging.getLogger(__name__)

SAVED_BY_VCRPY = {
    "urllib3": "_connHTTPConnection",
    "botocore": "_cpoolBoto3HTTPConnection",
    "httplib2": "_HTTPConnectionWithTimeout",
    "aiohttp": "_AiohttpClientSessionRequest",
    "httpx": "_HttpxHttpTransport_handle_request",
    "httpx2": "_Httpx2HttpTransport_handle_request",
}
"""What vcr.patch keeps of each library that it could import; it passes over one that it could not, in silence."""


class VcrCassette(Cassette):  # type: ignore[misc]
    """vcrpy's view of a Store. All methods may be called from several threads."""

    def __init__(self, path: str, filing: Filing, clock: Callable[[], datetime]) -> None:
        super().__init__(path=path, record_mode=RecordMode(filing.store.record_mode))
        self.ended = False
        self._store = filing.store
        self._clock = clock
        self._filing = filing

    # what vcrpy's stubs call -----------------------------------------------------------------------------

    def can_play_response_for(self, request: Any) -> bool:
        """Whether the request is recorded. Raises NoAnswerRecorded if it is not and may not be sent."""
        if self.ended:
            return False
        sent = getattr(request, "llmbatch_sent", None)
        if sent is None:
            if request.host == canary.CANARY_HOST:
                return True
            sent = self._filing.identify(request)
        if sent.found is None:
            sent.found = self._store.find(sent.call.key)
        if sent.found is None and not self._filing.may_send(sent.case):
            self._filing.refuse(sent)
        return sent.found is not None

    def play_response(self, request: Any) -> dict[str, Any]:
        """Return the recorded response. Raises NoAnswerRecorded (a redirect whose target is not recorded)."""
        if request.host == canary.CANARY_HOST:
            canary.catch(request.uri)
            return response_of(canary.CANARY_REPLY)
        sent = self._filing.identify(request)
        reply = sent.found or self._store.find(sent.call.key)
        if reply is None:
            self._filing.refuse(sent)
        self._filing.answered(sent, reply, paid=False)
        return response_of(reply)

    def append(self, request: Any, response: dict[str, Any]) -> None:
        """Record a live response and put what is now on disk in the place of what came.

        A reply that answers nothing goes to the failures and is left as it came.
        """
        if self.ended:
            return
        sent = self._filing.identify(request, appending=True)
        taken_us = (time.perf_counter_ns() - sent.started_ns) // 1000
        stored = self._record(sent, reply_of(response, recorded_at=self._clock(), taken_us=taken_us))
        if stored is None:
            return
        response.update(response_of(stored))
        attempt = current_attempt.get()
        if attempt is not None and sent.is_foreign:
            attempt.stored.append((request, stored))

    def append_asked(self, sent: Sent, status: int, reason: str, headers: Headers, body: bytes) -> None:
        """Record a live response to a request of `ask`, as it came; `ask` is told by its exchange."""
        if self.ended:
            return
        taken_us = (time.perf_counter_ns() - sent.started_ns) // 1000
        self._record(sent, Reply(status, reason, headers, body, instant_text(self._clock()), taken_us))

    def _record(self, sent: Sent, reply: Reply) -> Reply | None:
        """File a reply and tell of it; return what is on disk if it is an answer."""
        try:
            reply = decoded(reply)
        except UndecodableBodyError as error:
            self._filing.failed(sent, reply, error.kind, str(error))
            return None
        verdict = verdict_of_reply(reply, url=sent.call.request.url)
        if not verdict.final:
            self._filing.failed(sent, reply, verdict.kind or FailureKind.SERVER_ERROR, verdict.message)
            return None
        stored = self._store.record(sent.call, reply, case=case_id_of(sent.case))
        self._filing.answered(sent, stored, paid=True)
        return stored

    def find_requests_with_most_matches(self, request: Any) -> list[tuple[Any, list[str], list[str]]]:
        """Return nothing: vcrpy shows them in an error of its own, which nobody sees here."""
        return []

    def filter_request(self, request: Any) -> Any:
        """Return the request: none is left out."""
        return request

    @property
    def write_protected(self) -> bool:
        """Whether nothing may be sent."""
        return not self.ended and not self._filing.may_send(current_case.get())

    def __contains__(self, request: Any) -> bool:
        return bool(self.can_play_response_for(request))

    def __len__(self) -> int:
        return len(self._store)

    def __bool__(self) -> bool:
        return True

    def _load(self) -> None:
        self.rewound = True

    def _save(self, force: bool = False) -> None:
        """Do nothing: every response was written when it came."""


@dataclass(frozen=True, slots=True)
class Recording:
    """The open recording of a run."""

    store: Store
    cassette: VcrCassette


@contextmanager
def recording(
    store: Store,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    on_warning: Callable[[str], None] = log.warning,
) -> Iterator[Recording]:
    """Send every HTTP request of the process through the store until the context ends.

    Entered once a run, never per task: vcrpy patches classes. `clock` returns aware instants. Raises
    UsageError when a recording is open already.
    """
    with one_a_process(), patched(store, clock=clock, on_warning=on_warning) as opened:
        yield opened


@contextmanager
def patched(
    store: Store,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    on_warning: Callable[[str], None] = log.warning,
) -> Iterator[Recording]:
    """Do the work of `recording`, for who holds the process's place already.

    A class that was bound by its name meanwhile stays a stub after the end; it then sends like the real one.
    Raises InternalError for a library that vcrpy has passed over.
    """
    _check_nothing_passed_over()
    with ExitStack() as stack:
        stack.enter_context(real_connections_kept())
        used = VcrCassette.use(path=str(store.folder), filing=(filing := Filing(store, on_warning)), clock=clock)
        cassette: VcrCassette = stack.enter_context(used)
        stack.enter_context(handing_on_what_was_stored(filing.attempt, filing.begin_asked))
        stack.enter_context(names_bound_before_kept())
        try:
            yield Recording(store, cassette)
        finally:
            cassette.ended = True


def _check_nothing_passed_over() -> None:
    for library, saved in SAVED_BY_VCRPY.items():
        if library in sys.modules and not hasattr(vcr.patch, saved):
            raise InternalError(
                f"requests of {library} cannot be recorded: vcrpy could not import it when the recorder was entered",
                fix=f"import {library} at the top of the experiment file, not in a task; nothing was sent",
            )
