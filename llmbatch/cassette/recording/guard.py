"""Where a run may call: every connection is the recorder's own, or one that the project allows, or an error.

Interception by patching holds for the libraries that are patched. This is the proof for all the others: what is
sent past the recorder would be paid for and not recorded, so it is refused before its first byte. Knows sockets
and the recorder's mark, no HTTP.
"""

from __future__ import annotations

import functools
import ipaddress
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from fnmatch import fnmatchcase
from types import FrameType
from typing import Any

from llmbatch.cassette.recording.sockets import look_ups_wrapped, shown, sockets_checked
from llmbatch.cassette.recording.uvloop_sockets import uvloop_is_seen
from llmbatch.errors import UnrecordedConnection

DNS_PORT = 53
MOST_NAMES = 10_000
"""Names of addresses are kept up to this many; a task that looks up more allows addresses instead."""
UNSEEN_LIBRARIES = ("curl_cffi", "grpc", "primp", "pycurl", "pyreqwest", "rnet", "uvloop")
"""Libraries that connect in C or Rust, past Python's sockets: nothing can be said about what they send."""

_passing: ContextVar[bool] = ContextVar("llmbatch_passing", default=False)


class passing_through:  # noqa: N801 - used like a function; a generator would take four times as long
    """Mark what runs inside, and the asyncio tasks it starts, as a recorded request on its way to the service."""

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token = _passing.set(True)

    def __exit__(self, *raised: object) -> None:
        _passing.reset(self._token)


@contextmanager
def unrecorded_refused(
    allow_hosts: Sequence[str], on_refused: Callable[[UnrecordedConnection], None] = lambda error: None
) -> Iterator[None]:
    """Refuse connections and datagrams that do not belong to a request being recorded, in all threads.

    `allow_hosts` are patterns (`db.example:5432`, `*.internal`, `[::1]:6379`) for what is no HTTP: a name is
    compared with the one that was looked up, an address with itself, and loopback is `localhost` too. Loopback
    is guarded like any host: a local model server is a service. Name look-ups, and port 53, are free.
    What works on, and what cannot be seen, is said at `sockets_checked`.

    Raises UnrecordedConnection at the caller, no OSError for the reasons of `network_blocked`; `on_refused` hears
    of it first, in the thread that connects, since a task may swallow what it is raised.
    """
    names: dict[str, set[str]] = {}

    def remembering(look_up: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(look_up)
        def looked_up(host: Any, *arguments: Any, **options: Any) -> Any:
            found = look_up(host, *arguments, **options)
            name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
            for address in _addresses_of(found) if name and len(names) < MOST_NAMES else ():
                names.setdefault(address, set()).add(name.lower().rstrip("."))
            return found

        return looked_up

    def check(sock: socket.socket, address: object) -> None:
        if _passing.get() or not isinstance(address, tuple):
            return
        host, port = str(address[0]).lower(), address[1]
        if port == DNS_PORT:  # a long answer comes by TCP
            return
        known = {host, *names.get(host, ())} | ({"localhost"} if _is_loopback(host) else set())
        if not any(_matches(pattern, name, port) for pattern in allow_hosts for name in known):
            error = _refusal(address, sorted(known - {host}))
            on_refused(error)
            raise error

    with look_ups_wrapped(remembering), sockets_checked(check):
        yield


def unseen_libraries() -> list[str]:
    """Return the libraries imported so far whose connections nobody can see."""
    found = [name for name in UNSEEN_LIBRARIES if name in sys.modules]
    return [name for name in found if name != "uvloop" or not uvloop_is_seen()]


def _addresses_of(found: Any) -> list[str]:
    """Return the addresses in what a look-up function returned."""
    if isinstance(found, str):  # gethostbyname
        return [found]
    if isinstance(found, tuple):  # gethostbyname_ex
        return list(found[2])
    return [str(entry[4][0]).lower() for entry in found]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


def _matches(pattern: str, name: str, port: object) -> bool:
    host, allowed_port = split_pattern(pattern)
    return (allowed_port is None or allowed_port == port) and fnmatchcase(name, host)


@functools.cache
def split_pattern(pattern: str) -> tuple[str, int | None]:
    """Return the host, lower case and without brackets, and the port (None for all) of an `allow_hosts` entry."""
    host, colon, port = pattern.lower().rpartition(":")
    if colon and port.isdecimal() and (":" not in host or host.endswith("]")):
        return host.strip("[]"), int(port)
    return pattern.lower().strip("[]"), None


def _refusal(address: tuple[Any, ...], names: Sequence[str]) -> UnrecordedConnection:
    where = shown(address)
    entry = f"{names[0]}:{address[1]}" if names else where
    return UnrecordedConnection(
        f"a connection to {entry} is made past the recorder, by {_library()}",
        **({"address": where} if entry != where else {}),
        fix=(
            "send it through an HTTP library that vcrpy knows, so that it is recorded; "
            f'a database or the like is allowed in the configuration: allow_hosts = ["{entry}"]'
        ),
    )


def _library() -> str:
    """Return who connects: the innermost module on the stack that is neither Python's own nor llmbatch's."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - inspect.stack() reads source files
    last = "the task"
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        top = name.partition(".")[0]
        if top and top != "llmbatch" and top not in sys.stdlib_module_names:
            return name
        if top in sys.stdlib_module_names and top not in _PLUMBING:
            last = name
        frame = frame.f_back
    return last


_PLUMBING = frozenset({"socket", "ssl", "selectors", "asyncio", "threading", "concurrent", "contextlib", "functools"})
