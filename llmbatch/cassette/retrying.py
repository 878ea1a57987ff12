"""A cassette whose recorded refusals are asked again, each once a run, under a generation of their own.

The generation is marked complete before its first line is written, so that each of its lines answers from the moment
it is there, and every other key is answered as before. Killed at any moment, it leaves nothing to undo.
"""

from __future__ import annotations

from typing import Any, Self

from llmbatch.call.values import Call, Reply
from llmbatch.cassette.case import current_exchange
from llmbatch.cassette.recording.wire import current_attempt
from llmbatch.cassette.segment import SEGMENT
from llmbatch.cassette.store import Store
from llmbatch.errors import DiskError, UsageError


class RetryingStore(Store):
    """A Store in which what `ask` looks up and a service refused for good is a miss, until it was asked again.

    A request of another HTTP library is answered as recorded: whether it goes out again is its author's affair. What
    is asked again and not answered stays as it was recorded: see `settle`.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._settled: set[bytes] = set()
        self._is_marked = False

    def open(self) -> Self:
        """As of a Store. Raises UsageError while a generation of mode `all` is unfinished."""
        super().open()
        contents = self._contents
        if contents.unfinished is not None:
            self.close()
            raise UsageError(
                f"generation {contents.unfinished} of mode `all` is unfinished, and would hide what is asked again now",
                cassette=str(self.folder),
                fix="run with --record-mode all to its end first",
            )
        if self.can_record:
            contents.begin_generation()
        return self

    def find(self, key: bytes) -> Reply | None:
        """Return the answer that wins for a key; None where there is none, or a refusal that is to be asked again."""
        reply = super().find(key)
        if reply is None or key in self._settled or not self.can_record or not is_asked_again(reply):
            return reply
        return None

    def settle(self, key: bytes) -> Reply | None:
        """Ask for a key no more in this run; return what is recorded for it, if anything is."""
        self._settled.add(key)
        return super().find(key)

    def record(self, call: Call, reply: Reply, *, case: str | None = None) -> Reply:
        """Write an answer, also in the place of a refusal, and return it as read back."""
        with self._changing:
            stored = super().record(call, reply, case=case)
            self._settled.add(call.key)
        return stored

    def _append(self, kind: str, call: Call, line: bytes) -> None:
        if not self._is_marked and self._writer is not None:
            try:
                self._writer.mark_complete(self.generation)
            except DiskError:
                self._writer.unwritten += kind == SEGMENT
                raise
            self._is_marked = True
        super()._append(kind, call, line)


def is_asked_again(reply: Reply) -> bool:
    """Whether a recorded reply is a refusal of the service (400, 413, 422, a moderated 403), and `ask` looks it up."""
    return reply.status >= 300 and not _is_foreign()


def _is_foreign() -> bool:
    """Whether the recorder looks up a request that is not one of `ask`."""
    return current_attempt.get() is not None and current_exchange.get() is None
