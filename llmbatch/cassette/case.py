"""Which case an HTTP request belongs to, and which draw of an equal question it is.

Pure bookkeeping: knows no file, no network and no vcrpy. A context is used for one run of one case; it holds
the only numbers that tell equal requests of that case apart, so nothing outside the case can move a draw.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeAlias

from llmbatch.call.failure import Failure
from llmbatch.call.values import Call, RecordedFailure, Reply
from llmbatch.errors import AmbiguousDraw

_Branch: TypeAlias = "weakref.ref[asyncio.Task[Any] | threading.Thread]"


@dataclass(slots=True)
class Exchange:
    """One call that is about to be sent, and what the recorder made of it.

    Set `current_exchange` to one with a `call` around a request, and the recorder files that request under
    that call instead of counting a draw for it; a `wire` is the very object that is sent as its body, and spares
    the recorder looking at it. Afterwards `reply` is what is on disk (or the live reply of a failure), `failure`
    what was filed when the service could not answer, and `replayed` says that nothing was sent. With `call` None
    the recorder counts as usual and fills in the call it used.
    """

    call: Call | None = None
    reply: Reply | None = None
    failure: RecordedFailure | None = None
    replayed: bool = False
    wire: bytes | None = None


MISSES_OF_A_REHEARSAL = 20
"""A rehearsal ends at this many: some tasks ask until an answer comes, and here none does."""


PROBE = "probe:"
"""What an id begins with that is no task's case: the questions by which is found out what a model can do."""

FIXTURE = "fixture:"
"""What the id of the case begins with in which a fixture is made."""


class RehearsalOver(BaseException):
    """Ends a rehearsal from within; no author's `except Exception` is to catch it."""


class RunAgain(BaseException):
    """Ends one run of a case from within, which is then run again from its start. As hard to catch as the other."""


_NONE: tuple[()] = ()


class CaseContext:
    """The draw counters of one case, and everything it was answered.

    `replies` are in the order noted, hits and paid ones alike, and `foreign` those of them that answer calls outside
    `ask`; `failures` are the calls that no reply answered, and `pending` the asks that are on their way; `abandoned`
    says that the task did not wait for one. A `rehearsal` may look up but not send.
    Safe to use from several threads.
    """

    __slots__ = (
        "_branches",
        "_counts",
        "_in_flight",
        "_misses",
        "_unanswered",
        "abandoned",
        "case_id",
        "costs_usd",
        "failures",
        "foreign",
        "paid",
        "pending",
        "rehearsal",
        "repeat",
        "replies",
    )

    tells_misses = True
    """Whether what is missing in a rehearsal is told of: not for a case that is only another's sample."""

    _lock = threading.Lock()  # one for all: it is held for a few steps, and a case would seldom need its own

    def __init__(self, case_id: str, repeat: int, *, rehearsal: bool = False) -> None:
        self.case_id = case_id
        self.repeat = repeat
        self.rehearsal = rehearsal
        self.abandoned = False
        self.pending: set[asyncio.Future[Any]] = set()
        self.replies: list[Reply] = []
        self.failures: list[Failure] = []
        self.costs_usd: list[float | None] = []
        self.foreign: Sequence[tuple[Call, Reply]] = _NONE
        self._misses = 0
        self.paid = 0
        self._counts: dict[bytes, int] = {}
        self._branches: dict[bytes, _Branch] = {}
        self._in_flight: set[bytes] = set()
        self._unanswered: dict[bytes, Failure] = {}

    def draw(self, digest: bytes, explicit: int | None = None) -> int:
        """Return the ordinal of the next equal question, counted when it is put: 0, then 1, and so on.

        An `explicit` draw is taken as it is: it neither counts nor asks who called.
        Raises AmbiguousDraw when another task or thread of this case has put the same question.
        """
        if explicit is not None:
            return explicit
        branch = _current_branch()
        if self._branches.setdefault(digest, branch) is not branch:  # a branch has one weak reference
            self._claim(digest, _DRAW_FIX)
        ordinal = self._counts.get(digest, 0)  # no other branch counts this digest, so no lock is needed
        self._counts[digest] = ordinal + 1
        return ordinal

    def begin_foreign(self, digest: bytes) -> int:
        """Return the ordinal of an equal request sent outside `ask`: how many were answered so far.

        A retry after a failed attempt so has the ordinal of that attempt. End it by `end_foreign`; a second
        begin by the same task or thread means that the first attempt failed unseen.
        Raises AmbiguousDraw when another task or thread of this case has sent the same, now or before.
        """
        with self._lock:
            self._claim(digest, _FOREIGN_FIX)
            self._in_flight.add(digest)
            return self._counts.get(digest, 0)

    def end_foreign(self, digest: bytes, answered: bool) -> None:
        """Close what `begin_foreign` opened; only an answer moves the next equal request to the next draw."""
        with self._lock:
            if digest not in self._in_flight:
                return
            self._in_flight.remove(digest)
            if answered:
                self._counts[digest] = self._counts.get(digest, 0) + 1
                failure = self._unanswered.pop(digest, None)
                if failure is not None:
                    self.failures.remove(failure)

    @property
    def cached(self) -> int:
        """How many of the replies were not paid for."""
        return len(self.replies) - self.paid

    @property
    def may_send(self) -> bool:
        """Whether anything may be called for this run of the case."""
        return not self.rehearsal

    def count_miss(self) -> None:
        """Count a question of a rehearsal that has no recorded answer. Raises RehearsalOver after many."""
        self._misses += 1
        if self._misses >= MISSES_OF_A_REHEARSAL:
            raise RehearsalOver

    def note(self, reply: Reply, paid: bool) -> None:
        """Add a reply this case got, from the cassette or (`paid`) from the service."""
        self.replies.append(reply)  # in one step, from whatever thread
        if paid:
            with self._lock:
                self.paid += 1

    def note_foreign(self, call: Call, reply: Reply, paid: bool) -> None:
        """Add a reply to a call outside `ask`, as `note` does."""
        self.note(reply, paid)
        with self._lock:
            self.foreign = [*self.foreign, (call, reply)]

    def note_failure(self, failure: Failure, digest: bytes | None = None) -> None:
        """Add a call that got no answer. With its `digest`, a later answer to the same takes it back."""
        with self._lock:
            if digest is not None:
                earlier = self._unanswered.get(digest)
                if earlier is not None:
                    self.failures.remove(earlier)
                self._unanswered[digest] = failure
            self.failures.append(failure)

    def _claim(self, digest: bytes, fix: str) -> None:
        branch = _current_branch()
        known = self._branches.setdefault(digest, branch)
        # two weak references are compared by what they refer to: one whose task is gone equals no other, so
        # that the verdict depends neither on timing nor on a reused address
        if known() is not branch():
            raise AmbiguousDraw(
                f"two branches of {self.case_id} send the same request, and nothing says which is draw 0",
                fix=fix,
            )


class RehearsalOfASample(CaseContext):
    """The rehearsal of a case for its row alone: it has one of its own, which tells what is missing."""

    __slots__ = ()

    tells_misses = False

    def __init__(self, case_id: str, repeat: int) -> None:
        super().__init__(case_id, repeat, rehearsal=True)


_DRAW_FIX = "give each ask its own `draw=`, or put them one after another in one task"
_FOREIGN_FIX = (
    "send them in sequence from one task, or with distinct seeds "
    "(asyncio.gather and wait_for run what they get in tasks of their own; asyncio.timeout does not)"
)

current_case: ContextVar[CaseContext | None] = ContextVar("llmbatch_case", default=None)
current_exchange: ContextVar[Exchange | None] = ContextVar("llmbatch_exchange", default=None)
current_owner: ContextVar[asyncio.Task[Any] | None] = ContextVar("llmbatch_owner", default=None)
"""The asyncio task that does nothing but wait for a thread: what the thread sends is of the task's branch."""


def _current_branch() -> _Branch:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    return weakref.ref(task or current_owner.get() or threading.current_thread())
