"""What stands between a run and the network: the recorder on demand, and the proof that nothing goes past it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from llmbatch.cassette.recording.guard import unrecorded_refused, unseen_libraries
from llmbatch.cassette.recording.network import network_blocked
from llmbatch.cassette.recording.on_demand import recording_on_demand
from llmbatch.cassette.store import Store
from llmbatch.errors import UnrecordedConnection
from llmbatch.runner.stop import Stop


@contextmanager
def intercepted(store: Store, allow_hosts: Sequence[str], stop: Stop, note: Callable[[str], None]) -> Iterator[None]:
    """Record or answer all HTTP of the process. Where nothing may be called, no socket connects at all; else none but
    the recorder's own and those to `allow_hosts`: any other ends the run before it pays. Enter it in the run's loop.
    """
    loop = asyncio.get_running_loop()

    def refused(error: UnrecordedConnection) -> None:
        if _running_loop() is loop:
            stop.by_error(error)
        else:
            loop.call_soon_threadsafe(stop.by_error, error)

    with ExitStack() as stack:
        stack.enter_context(recording_on_demand(store, on_warning=note))
        if store.record_mode == "none":
            stack.enter_context(network_blocked())
        else:
            stack.enter_context(unrecorded_refused(allow_hosts, refused))
        stack.enter_context(_unseen_named(note))
        yield


@contextmanager
def _unseen_named(note: Callable[[str], None]) -> Iterator[None]:
    """Say which imported libraries nobody can watch: at the start, and at the end for those that came meanwhile."""
    named: set[str] = set()

    def name_them() -> None:
        for library in unseen_libraries():
            if library not in named:
                named.add(library)
                note(
                    f"{library} is imported: it connects past Python's sockets, so what it sends is neither recorded "
                    "nor refused; a task that uses it cannot be replayed"
                )

    name_them()
    try:
        yield
    finally:
        name_them()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
