"""The event loop of a run: uvloop's where it is installed, which makes a call cheaper, else Python's own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_in_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run to the end in a loop of its own, as asyncio.run does."""
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        return runner.run(coroutine)


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # noqa: PLC0415 - an optional extra, of systems that have it
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
