"""One recording a process: HTTP libraries are patched by their classes, which all threads share."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from llmbatch.errors import UsageError

_lock = threading.Lock()


@contextmanager
def one_a_process() -> Iterator[None]:
    """Hold the place until the context ends. Raises UsageError when another recording holds it."""
    if not _lock.acquire(blocking=False):
        raise UsageError(
            "a recording is open already, and HTTP libraries can be patched only once a process",
            fix="run experiments one after another, or in processes of their own",
        )
    try:
        yield
    finally:
        _lock.release()
