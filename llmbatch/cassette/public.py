"""The cassette for people without an experiment: record or replay any HTTP around any code, and look inside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from llmbatch.call.values import Interaction
from llmbatch.cassette.case import CaseContext, current_case
from llmbatch.cassette.store import Mode, Store
from llmbatch.config import Durability
from llmbatch.errors import UsageError

if TYPE_CHECKING:
    import polars as pl


class Cassette:
    """All interactions of an experiment; a context manager that records or replays any HTTP.

    `with Cassette("cassettes/mine", record_mode="new_episodes"): ...` answers every HTTP request of the process
    from the folder, and records what is missing where the mode allows it. In the default mode `none` a miss
    raises NoAnswerRecorded. Iterating gives the recorded interactions, `frame` the same as a table; `verify` says
    what is wrong with the files.

    `secrets` are values (of 16 characters or more) that must not be written. `key_headers` are request headers that
    enter the key, besides the known ones. With `allow_hosts`, a list such as `["db.example:5432"]` or an empty one,
    every connection past the recorder to another host is refused. `durability` is what an answer survives once the
    code has it: `process` (its death) or `power` (a power cut).
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        record_mode: Mode = "none",
        secrets: Sequence[str] = (),
        key_headers: Sequence[str] = (),
        allow_hosts: Sequence[str] | None = None,
        durability: Durability = "process",
    ) -> None:
        self.folder = Path(folder)
        self._store = Store(
            self.folder, record_mode=record_mode, secrets=secrets, key_headers=key_headers, durability=durability
        )
        self._allow_hosts = allow_hosts
        self._stack: ExitStack | None = None
        self._recorded_before = 0
        self._misses = 0

    @property
    def misses(self) -> int:
        """How many requests had no recorded answer and were recorded in the context, also after it has ended."""
        return self._misses if self._stack is None else len(self._store) - self._recorded_before

    def __enter__(self) -> Self:
        if self._stack is not None:
            raise UsageError("this cassette is open already", fix="enter it once, around all that it should record")
        from llmbatch.cassette.recording.guard import unrecorded_refused  # noqa: PLC0415 - looking needs none of it
        from llmbatch.cassette.recording.on_demand import recording_on_demand  # noqa: PLC0415 - as above

        with ExitStack() as stack:
            stack.enter_context(self._store)
            self._recorded_before = len(self._store)
            # without cases on purpose: that equal requests share one answer then needs no warning
            stack.enter_context(recording_on_demand(self._store, on_warning=lambda text: None))
            if self._allow_hosts is not None:
                stack.enter_context(unrecorded_refused(self._allow_hosts))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._misses = self.misses
        stack, self._stack = self._stack, None
        if stack is not None:
            stack.close()

    @contextmanager
    def case(self, name: str, *, repeat: int = 0) -> Iterator[None]:
        """Record what is sent in this context under a case, in which equal requests are draws of their own.

        The second equal request gets the second answer, live and replayed; another `repeat` has other answers. Threads
        belong to the case when they run in its context (asyncio.to_thread, contextvars.copy_context). Two tasks or
        threads of one case that send the same request have no order: AmbiguousDraw.
        """
        token = current_case.set(CaseContext(name, repeat))
        try:
            yield
        finally:
            current_case.reset(token)

    def __iter__(self) -> Iterator[Interaction]:
        """Yield every recorded interaction that answers, in the order of the segments."""
        if self._stack is not None:
            yield from self._store
            return
        with Store(self.folder) as store:
            yield from store

    def frame(self, *, failures: bool = False) -> pl.DataFrame:
        """Return the recorded interactions as a polars frame, one row each, in the order of the segments.

        Columns (String unless said): `key`, `case`, `generation`, `repeat`, `ordinal` (Int64), `method`, `url`,
        `model`, `model_returned`, `status` (Int64), `kind`, `message`, `tokens_in`, `tokens_out` (Int64),
        `finish_reason`, `text`, `recorded_at` (Datetime, UTC), `taken_us` (Int64), `request_body`, `response_body`.
        With `failures` the last failed attempt of each call follows. Raises CassetteDamaged.
        """
        return self.scan(failures=failures).collect()

    def scan(self, *, failures: bool = False) -> pl.LazyFrame:
        """Return what `frame` does, lazily: a filter or `sink_parquet` needs no more memory for a large cassette."""
        from llmbatch.cassette.upkeep.exchange.frame import interactions_frame  # noqa: PLC0415 - few need it

        return interactions_frame(self.folder, failures=failures)

    def verify(self) -> Sequence[str]:
        """Return what is wrong with the folder's files, one text a problem; empty when all is as it was written."""
        with Store(self.folder) as store:
            return store.verify()
