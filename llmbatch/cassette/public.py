"""The cassette for people without an experiment: record or replay any HTTP around any code, and look inside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from llmbatch.call.values import Interaction
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
            stack.enter_context(recording(self._store))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._misses = self.misses
        stack, self._stack = self._stack, None
        if stack is not None:
            stack.close()

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
