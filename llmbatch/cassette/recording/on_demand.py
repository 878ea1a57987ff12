"""The recorder, put under the HTTP libraries when the first of them is imported, and not before.

vcrpy imports every HTTP library there is, which a replay seldom needs. No library can send before it is imported,
so it is enough to enter the recorder first: at once where one is imported already, else at the import statement.
What slips through all the same (a library loaded in a way that asks nobody) is refused by the socket guard.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from llmbatch.cassette.recording.exclusive import one_a_process
from llmbatch.cassette.store import Store

CLIENTS = frozenset(
    {
        *("http.client", "http.cookiejar", "http.server", "urllib.request", "urllib.robotparser", "xmlrpc"),
        *("urllib3", "requests", "httplib2", "botocore", "tornado", "aiohttp", "httpx", "httpx2"),
        *("httpx_curl_cffi", "pyreqwest"),
    }
)
"""What vcrpy patches, and what imports that half-way: the recorder must not be entered in the middle of these."""
WATCHED = CLIENTS | {"vcr"}


@contextmanager
def recording_on_demand(store: Store, *, on_warning: Callable[[str], None]) -> Iterator[Demand]:
    """Do what `recorder.recording` does, as late as that is safe. Raises UsageError as that does."""
    with one_a_process(), ExitStack() as stack:

        def enter() -> None:
            from llmbatch.cassette.recording.recorder import patched  # noqa: PLC0415 - imports every HTTP library

            stack.enter_context(patched(store, on_warning=on_warning))

        demand = Demand(enter)
        if not CLIENTS.isdisjoint(sys.modules):
            demand.enter()
        try:
            yield demand
        finally:
            demand.close()


class Demand:
    """Calls `enter` once, before the first import of a watched module, in whichever thread that is.

    It stands before the import statement and `importlib.import_module`, which hold no lock yet. A finder of
    `sys.meta_path` is asked with the module's lock held: two threads that import two libraries would wait for each
    other, and a module that entering imports would be loaded twice.
    """

    def __init__(self, enter: Callable[[], None]) -> None:
        self._enter = enter
        self._lock = threading.RLock()
        self._begun = self._ended = False
        self._statement, self._module = builtins.__import__, importlib.import_module

        def statement(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:  # noqa: A002 - as the built-in's are called
            if level == 0 and not self._ended and is_watched(name, tuple(fromlist or ())):
                self.enter()
            return self._statement(name, globals, locals, fromlist, level)

        def module(name: str, package: str | None = None) -> Any:
            if not self._ended and is_watched(name):
                self.enter()
            return self._module(name, package)

        self._hooks = (statement, module)
        builtins.__import__, importlib.import_module = statement, module

    @property
    def entered(self) -> bool:
        """Whether `enter` was called."""
        return self._begun

    def enter(self) -> None:
        """Enter now, if that has not been done. Another thread waits until it is; what entering imports does not."""
        with self._lock:
            if self._begun or self._ended:
                return
            self._begun = True
            try:
                self._enter()
            except BaseException:
                self._begun = False
                raise
            self._unhook()

    def close(self) -> None:
        """Enter no more."""
        with self._lock:
            self._unhook()

    def _unhook(self) -> None:
        """Take the hooks away; where somebody has put another on top, they stay and do nothing."""
        self._ended = True
        if builtins.__import__ is self._hooks[0]:
            builtins.__import__ = self._statement
        if importlib.import_module is self._hooks[1]:
            importlib.import_module = self._module


@functools.cache
def is_watched(name: str, parts: tuple[str, ...] = ()) -> bool:
    """Whether `import name`, or `from name import parts`, loads a watched module."""
    packages = name.split(".")
    above = {".".join(packages[:end]) for end in range(1, len(packages) + 1)}
    return not WATCHED.isdisjoint(above) or not WATCHED.isdisjoint(f"{name}.{part}" for part in parts)
