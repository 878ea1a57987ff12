"""A question to the person at the terminal, put without holding up the event loop."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

YES = frozenset({"y", "yes"})


def can_ask() -> bool:
    """Whether a person sees what is said and can answer it."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


async def confirm(question: str, *, read: Callable[[], str] = sys.stdin.readline) -> bool:
    """Print the question to standard error and return whether the answer is yes. Whoever ends the run may cancel it.

    The line is read in a thread that does not keep the process from ending.
    """
    print(question, end="", file=sys.stderr, flush=True)
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str] = loop.create_future()

    def tell(line: str) -> None:
        if not answer.done():
            answer.set_result(line)

    def wait() -> None:
        line = ""
        with suppress(OSError, ValueError):  # the terminal has gone
            line = read()
        with suppress(RuntimeError):  # the loop has
            loop.call_soon_threadsafe(tell, line)

    threading.Thread(target=wait, name="llmbatch-question", daemon=True).start()
    return (await answer).strip().lower() in YES
