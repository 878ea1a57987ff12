"""Proof that a run which may call nothing calls nothing: no Python socket reaches another address."""

from __future__ import annotations

import functools
import ipaddress
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from llmbatch.cassette.recording.sockets import look_ups_wrapped, shown, sockets_checked
from llmbatch.errors import NoAnswerRecorded


@contextmanager
def network_blocked() -> Iterator[None]:
    """Refuse connections, datagrams and name look-ups of AF_INET and AF_INET6 sockets, in all threads.

    Loopback is refused as well; what works on is listed at `sockets_checked`.

    Raises NoAnswerRecorded at the caller, which names the address. That is no OSError on purpose: clients
    take an OSError for a passing fault, try it again (openai sleeps between) and report "Connection error"
    without the address; what they do not know goes straight up, and the case becomes `not_recorded` like
    any other miss. anyio, and so httpx2, wraps it into an ExceptionGroup.
    """
    with look_ups_wrapped(_numeric_only), sockets_checked(_refuse_connection):
        yield


def _refuse_connection(sock: socket.socket, address: object) -> None:
    _refuse("a connection to", shown(address))


def _numeric_only(call: Callable[..., Any]) -> Callable[..., Any]:
    """Let through what asks no name server; connecting to it is refused on its own."""

    @functools.wraps(call)
    def checked(host: Any, *arguments: Any, **options: Any) -> Any:
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        if name and not _is_numeric(name):
            _refuse("a name look-up of", name)
        return call(host, *arguments, **options)

    return checked


def _is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _refuse(what: str, address: str) -> NoReturn:
    raise NoAnswerRecorded(
        f"{what} {address} was refused: this run is offline",
        fix="run without --offline, or record what needs it through an HTTP library that vcrpy knows",
    )
