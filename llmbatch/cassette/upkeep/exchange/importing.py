"""Filing what was read from foreign files in a cassette, as a recording would have. Knows no format."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from llmbatch.call.failure import FailureKind
from llmbatch.call.values import Call, Reply
from llmbatch.cassette.recording.wire import UndecodableBodyError, decoded
from llmbatch.cassette.store import Store
from llmbatch.cassette.upkeep.exchange.incoming import Incoming, Unusable
from llmbatch.errors import AnswerError
from llmbatch.policy import verdict_of_reply


@dataclass
class Counts:
    """What became of the interactions of the files. `duplicates` had their answer (or failure) already."""

    interactions: int = 0
    failures: int = 0
    duplicates: int = 0
    skipped: int = 0


class Importer:
    """Files interactions in a store that records. `skip` is told the line and the reason of what cannot be filed."""

    def __init__(self, store: Store, skip: Callable[[Unusable], None]) -> None:
        self._store = store
        self._skip = skip
        self.counts = Counts()

    def take(self, found: Iterable[Incoming | Unusable]) -> None:
        """File all interactions of one file: scrubbed, judged as the recorder judges, under their own keys.

        Equal requests of a file that knows no draws are draw 0, 1, ... in its order; a failed attempt has the draw of
        the answer after it. Raises DiskError, and what the reader of the file raises.
        """
        answered: dict[bytes, int] = {}
        for each in found:
            if isinstance(each, Unusable):
                self._unusable(each)
                continue
            request = self._store.request(each.method, each.url, each.headers, each.body)
            repeat, ordinal = each.draw or (0, answered.get(request.digest, 0))
            call = self._store.call(request, repeat, ordinal)
            if each.key is not None and each.key != call.key:
                self._unusable(Unusable(each.line, _OTHER_KEY.format(each.key.hex())))
            elif self._file(each, call):
                answered[request.digest] = ordinal + 1

    def _file(self, each: Incoming, call: Call) -> bool:
        """File one interaction; return whether it is an answer."""
        reply, failure = _judged(each, call)
        try:
            if failure is None and reply is not None:
                self._answer(call, reply, each.case)
                return True
            kind, message = failure or (FailureKind.SERVER_ERROR, "")
            self._failure(call, kind, message, reply)
        except AnswerError as error:
            self._unusable(Unusable(each.line, error.what))
        return False

    def _answer(self, call: Call, reply: Reply, case: str | None) -> None:
        there = self._store.find(call.key)
        if there is None:
            self._store.record(call, reply, case=case)
            self.counts.interactions += 1
            return
        self.counts.duplicates += 1
        if (there.status, there.body) != (reply.status, self._store.scrub_bytes(reply.body)):
            self._store.record(call, reply, case=case)  # another answer: paid for, so kept among the failures

    def _failure(self, call: Call, kind: str, message: str, reply: Reply | None) -> None:
        there = self._store.find_failure(call.key)
        if there is not None and (there.kind, there.message) == (kind, self._store.scrub_text(message)):
            self.counts.duplicates += 1
            return
        self._store.record_failure(call, kind, message, reply=reply)
        self.counts.failures += 1

    def _unusable(self, unusable: Unusable) -> None:
        self.counts.skipped += 1
        self._skip(unusable)


_OTHER_KEY = "{} is not the key of this request here; a header that enters it may have to be named by --key-header"


def _judged(each: Incoming, call: Call) -> tuple[Reply | None, tuple[str, str] | None]:
    """Return the decoded reply, and the failure that it is if it is no answer."""
    if each.reply is None or each.failure is not None or each.key is not None:  # our own files say which is which
        return each.reply, each.failure
    try:
        reply = decoded(each.reply)
    except UndecodableBodyError as error:
        return each.reply, (error.kind, str(error))
    verdict = verdict_of_reply(reply, url=call.request.url)
    if verdict.final:
        return reply, None
    return reply, (verdict.kind or FailureKind.SERVER_ERROR, verdict.message)
