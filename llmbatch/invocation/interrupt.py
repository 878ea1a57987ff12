"""Ctrl-C and SIGTERM: the first drains, the second ends at once. Works without POSIX-only modules."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

DRAIN_SECONDS = 30.0
"""How long cases in flight may go on after the first signal."""


def waits_end_at_ctrl_c() -> None:
    """Let Ctrl-C end waits for locks and threads again, which it does not any more once polars was imported.

    polars puts a handler of its own before Python's, with SA_RESTART: the wait goes on, and Python's
    handler waits for its end.
    """
    if threading.current_thread() is threading.main_thread() and hasattr(signal, "siginterrupt"):
        signal.siginterrupt(signal.SIGINT, True)


@contextmanager
def interruptible(on_first: Callable[[], None], on_last: Callable[[], None]) -> Iterator[None]:
    """Call `on_first` at the first SIGINT or SIGTERM, `on_last` at the second or when the drain has taken too long.

    Both run in the event loop. Outside the main thread (a notebook's helper thread) signals cannot be caught
    and nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    seen = 0
    timer: asyncio.TimerHandle | None = None

    def first() -> None:
        nonlocal timer
        on_first()
        timer = loop.call_later(DRAIN_SECONDS, on_last)

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal seen
        seen += 1
        # through the loop: a handler may interrupt any line, and must not touch the run's state in the middle of one
        loop.call_soon_threadsafe(first if seen == 1 else on_last)

    numbers = [signal.SIGINT, signal.SIGTERM]
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
