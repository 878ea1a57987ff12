"""A cassette folder: look up, append, iterate. Knows nothing of vcrpy, of tasks or of the network.

It has no clock either: when an answer was recorded is in the reply that it is given.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from llmbatch.call.failure import FailureKind
from llmbatch.call.key import call_key
from llmbatch.call.values import Call, Interaction, RecordedFailure, Reply, Request
from llmbatch.cassette.address import Address
from llmbatch.cassette.aliases import Aliases, read_aliases
from llmbatch.cassette.contents import Contents, read_contents
from llmbatch.cassette.encoding import TooLargeError
from llmbatch.cassette.line import RECORD_CAP, Decoded, decode_reply, encode
from llmbatch.cassette.prices import with_prices
from llmbatch.cassette.scrub import Scrubber
from llmbatch.cassette.segment import FAILURES, SEGMENT, Metadata
from llmbatch.cassette.stored import DUPLICATE, stored_failure, stored_reply
from llmbatch.cassette.verify import problems_of
from llmbatch.cassette.writer import Writer
from llmbatch.config.values import DEFAULT_SEGMENT_MB, Durability
from llmbatch.errors import AnswerError, DiskError, InternalError

SEGMENT_BYTES = DEFAULT_SEGMENT_MB * 1_000_000
"""Bytes of the largest segment, unless one line alone is longer: below what git hosts warn of (50 MB)."""

Mode = Literal["none", "once", "new_episodes", "all"]


class Store:
    """The recorded interactions of an experiment, found by key and added to one line at a time.

    Open it before use (`with Store(...) as store`). In a mode that records it holds the folder's lock
    while open. `find`, `record` and the rest may be called from several threads. What was recorded survives the
    death of the process at once; with the durability `power`, a power cut as well.

    The run that holds the lock may have workers in other processes: each opens a store with `joining`, the holder's
    `token`, and writes files of its own. `refresh` shows the holder what they have added.
    """

    def __init__(
        self,
        folder: Path,
        *,
        record_mode: Mode = "none",
        metadata: Metadata | None = None,
        secrets: Sequence[str] = (),
        key_headers: Sequence[str] = (),
        segment_bytes: int = SEGMENT_BYTES,
        durability: Durability = "process",
        joining: str | None = None,
    ) -> None:
        self.folder = folder
        self.record_mode: Mode = record_mode
        self.can_record = False
        self._scrubber = Scrubber(secrets=secrets, key_headers=key_headers)
        given = metadata or Metadata()
        endpoints = {name: self._scrubber.url(url) for name, url in given.endpoints.items()}
        self._metadata = replace(given, endpoints=endpoints)
        self._check_metadata()
        self._segment_bytes = segment_bytes
        self._durability: Durability = durability
        self._aliases = Aliases()
        self._joining = joining
        self._changing = threading.RLock()
        self._found: Contents | None = None
        self._writer: Writer | None = None

    def open(self) -> Self:
        """Read the index and, in a mode that records, take the lock and cut off torn tails.

        A mode that only reads writes nothing, and finds a missing folder empty. Raises CassetteLocked,
        CassetteDamaged and DiskError.
        """
        once = self.record_mode == "once" and self._joining is None  # whether a worker records, its run has decided
        wants = not (self.record_mode == "none" or (once and _has_answers(self.folder)))
        self._aliases = read_aliases(self.folder)
        endpoints = {name: self._aliases.recorded(url) for name, url in self._metadata.endpoints.items()}
        self._metadata = replace(self._metadata, endpoints=endpoints)
        try:
            if wants:
                self._writer = Writer(
                    self.folder,
                    self._metadata,
                    segment_bytes=self._segment_bytes,
                    durability=self._durability,
                    joining=self._joining,
                )
            self._found = read_contents(self.folder, fresh=self.record_mode == "all")
            if once and self._found.has_answers:  # another run filled it before the lock was ours
                self._close_writer()
            configured = self._metadata.prices
            self._metadata = replace(self._metadata, prices=self._found.last_prices)
            self.use_prices(configured)
        except BaseException:
            self._close_writer()
            raise
        self.can_record = self._writer is not None
        return self

    def use_prices(self, prices: Mapping[str, Mapping[str, Any] | None]) -> None:
        """Record under these prices from now on, by `endpoint/model`; None says that a model has none.

        Those of other models stay as they were when the last segment began, and so does an entry whose amounts are
        the same: a new segment begins only where something new is recorded, and a price has really changed.
        """
        with self._changing:
            snapshot = with_prices(self._metadata.prices, prices)
            self._metadata = replace(self._metadata, prices=snapshot)
            self._check_metadata()
            if self._writer is not None:
                self._writer.change_metadata(self._metadata)

    def close(self) -> None:
        """Sync what was written, give the lock back. Raises DiskError when the disk does not take it."""
        with self._changing:
            self.can_record = False
            if self._found is not None:
                self._found.close()
            self._close_writer()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def disk_error(self) -> DiskError | None:
        """What the disk first failed with, be it in the background; None while all is well."""
        return None if self._writer is None else self._writer.disk_error

    @property
    def unwritten(self) -> int:
        """How many answers came, and are paid for, that the disk did not take."""
        return 0 if self._writer is None else self._writer.unwritten

    @property
    def generation(self) -> int:
        """What answers are recorded under: the highest complete generation, or in mode `all` the next."""
        return self._contents.generation

    @property
    def token(self) -> str | None:
        """What a worker of this run opens its store with; None unless this store holds the folder's lock."""
        return None if self._writer is None else self._writer.token

    def refresh(self) -> None:
        """Take in what the workers of the run have added to the files; only what is new is read.

        The rule which line wins holds over all files, so an answer may be another than the one found before.
        Raises CassetteDamaged.
        """
        with self._changing:
            self._contents.refresh()

    def scrub_text(self, text: str) -> str:
        """Return the text with every known secret replaced, as in what the cassette keeps."""
        return self._scrubber.text(text)

    def scrub_bytes(self, encoded: bytes) -> bytes:
        """Return the bytes with every known secret replaced, as in what the cassette keeps."""
        return self._scrubber.body(encoded)

    def request(self, method: str, url: str, headers: Mapping[str, str | Sequence[str]], body: bytes | None) -> Request:
        """Return a request as it is stored and looked up: scrubbed, at the recorded address, with its digest."""
        return self.address(method, url, headers).request(body)

    def address(self, method: str, url: str, headers: Mapping[str, str | Sequence[str]]) -> Address:
        """Return where requests go, scrubbed and rewritten by the aliases once for many bodies."""
        return Address(self._scrubber, self._aliases, method, url, headers)

    def call(self, request: Request, repeat: int, ordinal: int) -> Call:
        """Return one draw of a request, with the key it is looked up by."""
        return Call(request, repeat, ordinal, call_key(request.digest, repeat, ordinal))

    def find(self, key: bytes) -> Reply | None:
        """Return the answer that wins for a key, None when there is none. Raises CassetteDamaged."""
        found = self._found or self._contents
        return found.answers.reply(key)

    def prices(self, key: bytes, model: str) -> Mapping[str, Any] | None:
        """Return the price snapshot under which the answer of a key was recorded, for one model; None without one."""
        contents = self._contents
        if not contents.prices:
            return None
        number = contents.answers.file_of(key)
        snapshot = None if number is None else contents.prices.get(number)
        return None if snapshot is None else snapshot.get(model)

    def find_failure(self, key: bytes) -> RecordedFailure | None:
        """Return the last failed attempt of a key, None when there is none. Raises CassetteDamaged."""
        failures = self._contents.failures
        place = failures.index.get(key)
        return None if place is None else _recorded_failure(failures.whole(place))

    def missed(self, call: Call) -> RecordedFailure | None:
        """Hear of a call that has no answer and may not be made; return the last failed attempt at it."""
        return self.find_failure(call.key)

    def record(self, call: Call, reply: Reply, *, case: str | None = None) -> Reply:
        """Write an answer and return it as read back from the line just written.

        The first line wins: where the key has an answer already, that one is returned, and this one is
        kept among the failures as a duplicate. Raises DiskError; AnswerError for an answer beyond 64 MiB.
        """
        try:
            stored = stored_reply(self._scrubber, reply, cap=RECORD_CAP)
            line = self._line(call, stored, case)
        except TooLargeError as error:
            message, stored_at = f"the answer is larger than can be recorded: {error}", reply.recorded_at
            self.record_failure(call, FailureKind.TOO_LARGE, message, case=case, recorded_at=stored_at)
            raise AnswerError(message, kind=FailureKind.TOO_LARGE, fix="ask for less in one call") from error
        with self._changing:
            first = self.find(call.key)
            if first is not None:
                self._append(FAILURES, call, self._duplicate_line(call, stored, case))
                return first
            self._append(SEGMENT, call, line)
        return decode_reply(line)

    def record_failure(
        self,
        call: Call,
        kind: str,
        message: str,
        *,
        reply: Reply | None = None,
        case: str | None = None,
        recorded_at: str = "",
    ) -> None:
        """Write an attempt that got no answer; the last one of a key counts. Bodies are cut at 16 KiB.

        `recorded_at` is for an attempt without a reply: `merge` orders attempts by it.
        """
        stored = None if reply is None else stored_failure(self._scrubber, reply, cap=RECORD_CAP)
        failure = (str(kind), self._scrubber.text(message))
        try:
            line = self._line(call, stored, case, failure, recorded_at)
        except TooLargeError as error:
            what = f"the request is larger than can be recorded: {error}"
            raise AnswerError(what, kind=FailureKind.TOO_LARGE, fix="send less in one call") from error
        with self._changing:
            self._append(FAILURES, call, line)

    def __iter__(self) -> Iterator[Interaction]:
        """Yield the answers that win, in the order of the files. Raises CassetteDamaged."""
        answers = self._contents.answers
        for place in answers.index.places():
            found = answers.whole(place)
            if found.reply is None:
                raise InternalError("an answer's line holds no reply", key=found.call.key.hex(), fix="report this")
            yield Interaction(found.call, found.reply, found.generation, found.case)

    def texts(self) -> Iterator[bytes]:
        """Yield the lines of the answers that win as they are written, in the order of the files."""
        answers = self._contents.answers
        for place in answers.index.places():
            yield answers.read(place)

    def failures(self) -> Iterator[RecordedFailure]:
        """Yield the last failed attempt of each key, in the order of the files. Raises CassetteDamaged."""
        failures = self._contents.failures
        for place in failures.index.places():
            yield _recorded_failure(failures.whole(place))

    def __len__(self) -> int:
        """Return the number of keys that have an answer."""
        return len(self._contents.answers.index)

    def __bool__(self) -> bool:
        """An empty cassette is a cassette."""
        return True

    def recorded_base_url(self, endpoint: str) -> str | None:
        """Return the base URL recorded with an endpoint's name. Raises ConfigError when there are two."""
        return self._contents.base_url(endpoint)

    def recorded_model_name(self, text: str) -> str | None:
        """Return the wire name recorded for an `endpoint/alias`. Raises ConfigError when there are two."""
        return self._contents.model_name(text)

    def content_digest(self) -> str:
        """Return the SHA-256, in hex, over key, status and body of the answers that win, sorted by key.

        No times, no headers and no order of recording enter it.
        """
        return self._contents.answers.content_digest()

    def verify(self) -> list[str]:
        """Return all that is wrong with the files, byte by byte; a closed store will do."""
        return list(problems_of(self.folder))

    def complete_generation(self) -> None:
        """In mode `all`: mark the generation complete, so that its answers win from now on.

        Raises DiskError. In the other modes, and of a worker, nothing happens.
        """
        if self.record_mode == "all" and self._writer is not None and self._joining is None:
            with self._changing:
                self._writer.mark_complete(self.generation)

    def _check_metadata(self) -> None:
        if self._scrubber.holds_secret(self._metadata.payload()):
            raise InternalError("a secret is in the cassette's metadata", folder=str(self.folder), fix="report this")

    @property
    def _contents(self) -> Contents:
        if self._found is None:
            raise InternalError("a cassette was used before it was opened", folder=str(self.folder), fix="open it")
        return self._found

    def _close_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _line(
        self,
        call: Call,
        reply: Reply | None,
        case: str | None,
        failure: tuple[str, str] | None = None,
        recorded_at: str = "",
    ) -> bytes:
        case = None if case is None else self._scrubber.text(case)
        line = encode(call, reply, generation=self.generation, case=case, failure=failure, recorded_at=recorded_at)
        if len(line) > RECORD_CAP:
            raise TooLargeError(f"{len(line)} bytes, and the limit is {RECORD_CAP}")
        if self._scrubber.holds_secret(line):
            raise InternalError(
                "a secret would have been written to the cassette; nothing was",
                request=f"{call.request.method} {call.request.url.partition('?')[0]}",
                fix="build the request with Store.request, which takes secrets out",
            )
        return line

    def _duplicate_line(self, call: Call, stored: Reply, case: str | None) -> bytes:
        """Return the line of an answer that came second; without its body where two members more are too many."""
        try:
            return self._line(call, stored, case, DUPLICATE)  # whole: it was paid for, and the cost is at its end
        except TooLargeError:
            return self._line(call, replace(stored, body=b""), case, DUPLICATE)

    def _append(self, kind: str, call: Call, line: bytes) -> None:
        if self._writer is None:
            raise InternalError(
                f"a cassette in mode {self.record_mode!r} was given something to record",
                folder=str(self.folder),
                fix="look at can_record before calling a service",
            )
        place = self._writer.append(kind, line)
        contents = self._contents
        if kind == SEGMENT and place.number not in contents.prices:  # this run began it
            contents.prices[place.number] = self._metadata.prices
        contents.note_appended(kind, call.key, place)


def _has_answers(folder: Path) -> bool:
    with closing(read_contents(folder, fresh=False)) as contents:
        return contents.has_answers


def _recorded_failure(found: Decoded) -> RecordedFailure:
    return RecordedFailure(found.call, found.kind or "", found.message or "", found.reply)
