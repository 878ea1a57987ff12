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


class LoopKept(SystemExit):
    """Raised in the code of a task that keeps the event loop to itself, so that no signal is heard.

    A SystemExit, since that passes an `except Exception` of the task; what a task raises is its row.
    """


def waits_end_at_ctrl_c() -> None:
    """Let Ctrl-C end waits for locks and threads again, which it does not any more once polars was imported.

    polars puts a handler of its own before Python's, with SA_RESTART: the wait goes on, and Python's
    handler waits for its end.
    """
    if threading.current_thread() is threading.main_thread() and hasattr(signal, "siginterrupt"):
        signal.siginterrupt(signal.SIGINT, True)


@contextmanager
def interruptible(
    on_first: Callable[[], None],
    on_last: Callable[[], None],
    is_of_task: Callable[[FrameType], bool] = lambda frame: False,
) -> Iterator[None]:
    """Call `on_first` at the first SIGINT or SIGTERM, `on_last` at the second or when the drain has taken too long.

    Both run in the event loop. Where that has not heard of the last signal when the next one comes, and the frame that
    keeps it `is_of_task`, LoopKept is raised there. Outside the main thread (a notebook's helper thread) signals cannot
    be caught and nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    seen = heard = 0
    timer: asyncio.TimerHandle | None = None

    def hear() -> None:
        nonlocal timer, heard
        heard += 1
        if heard > 1:
            on_last()
            return
        on_first()
        timer = loop.call_later(DRAIN_SECONDS, on_last)

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal seen
        is_kept = seen > heard and frame is not None and is_of_task(frame)
        if is_kept:  # what was sent before is heard as soon as the task lets go
            raise LoopKept("interrupted, while it kept the event loop from going on")
        seen += 1
        # through the loop: a handler may interrupt any line, and must not touch the run's state in the middle of one
        loop.call_soon_threadsafe(hear)

    numbers = [signal.SIGINT, signal.SIGTERM]
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
