"""The cassette for people without an experiment: record or replay any HTTP around any code, and look inside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from llmbatch.call.values import Interaction
from llmbatch.cassette.case import CaseContext, current_case
from llmbatch.cassette.store import Mode, Store
from llmbatch.errors import UsageError


class Cassette:
    """All interactions of an experiment; a context manager that records or replays any HTTP.

    `with Cassette("cassettes/mine", record_mode="new_episodes"): ...` answers every HTTP request of the process
    from the folder, and records what is missing where the mode allows it. In the default mode `none` a miss
    raises NoAnswerRecorded. Iterating gives the recorded interactions; `verify` says what is wrong with them.
    `secrets` are values (of 16 characters or more) that must not be written.
    """

    def __init__(self, folder: str | Path, *, record_mode: Mode = "none", secrets: Sequence[str] = ()) -> None:
        self.folder = Path(folder)
        self._store = Store(self.folder, record_mode=record_mode, secrets=secrets)
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
        from llmbatch.cassette.recording.recorder import recording  # noqa: PLC0415 - imports every HTTP library there is

        with ExitStack() as stack:
            stack.enter_context(self._store)
            self._recorded_before = len(self._store)
            # without cases on purpose: that equal requests share one answer then needs no warning
            stack.enter_context(recording(self._store, on_warning=lambda text: None))
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

    def verify(self) -> Sequence[str]:
        """Return what is wrong with the folder's files, one text a problem; empty when all is as it was written."""
        with Store(self.folder) as store:
            return store.verify()
