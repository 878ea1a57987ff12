"""Proof that a run which may call nothing calls nothing: no Python socket reaches another address.

Knows sockets only, no cassette and no HTTP.
"""

from __future__ import annotations

import functools
import ipaddress
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NoReturn

from llmbatch.errors import NoAnswerRecorded

_INTERNET = frozenset({socket.AF_INET, socket.AF_INET6})


@contextmanager
def network_blocked() -> Iterator[None]:
    """Refuse connections, datagrams and name look-ups of AF_INET and AF_INET6 sockets, in all threads.

    Loopback is refused as well. AF_UNIX sockets, `socket.socketpair`, listening, and sockets that are
    connected already work on, and so do event loops made inside (on Windows their self-pipe is a socket pair
    over loopback, and its proactor connects past Python's sockets: both are seen to). Libraries in C with
    sockets of their own (libcurl, uvloop) are not reached.

    Raises NoAnswerRecorded at the caller, which names the address. That is no OSError on purpose: clients
    take an OSError for a passing fault, try it again (openai sleeps between) and report "Connection error"
    without the address; what they do not know goes straight up, and the case becomes `not_recorded` like
    any other miss. anyio, and so httpx2, wraps it into an ExceptionGroup.
    """
    pairing = threading.local()

    def check(sock: socket.socket, address: object) -> None:
        if sock.family in _INTERNET and not getattr(pairing, "on", False):
            if sock.type == socket.SOCK_STREAM:
                sock.close()  # socket.create_connection does so after an OSError only
            _refuse("a connection to", _shown(address))

    def before(call: Callable[..., Any], address_of: Callable[..., object]) -> Callable[..., Any]:
        @functools.wraps(call)
        def checked(sock: socket.socket, *arguments: Any) -> Any:
            address = address_of(*arguments)
            if address is not None:
                check(sock, address)
            return call(sock, *arguments)

        return checked

    def pair(call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def paired(*arguments: Any, **options: Any) -> Any:
            pairing.on = True
            try:
                return call(*arguments, **options)
            finally:
                pairing.on = False

        return paired

    with ExitStack() as stack:
        for name in ("connect", "connect_ex"):
            _set(stack, socket.socket, name, before(getattr(socket.socket, name), lambda address: address))
        _set(stack, socket.socket, "sendto", before(socket.socket.sendto, lambda *given: given[-1]))
        if sys.platform != "win32":
            _set(stack, socket.socket, "sendmsg", before(socket.socket.sendmsg, _sendmsg_address))
        for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
            _set(stack, socket, name, _numeric_only(getattr(socket, name)))
        _set(stack, socket, "socketpair", pair(socket.socketpair))
        if sys.platform == "win32":
            from asyncio import IocpProactor  # noqa: PLC0415

            connect = IocpProactor.connect

            def connect_checked(proactor: Any, conn: socket.socket, address: Any) -> Any:
                check(conn, address)
                return connect(proactor, conn, address)

            _set(stack, IocpProactor, "connect", connect_checked)
        yield


def _sendmsg_address(_buffers: object, _ancillary: object = (), _flags: int = 0, address: object = None) -> object:
    return address


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


def _shown(address: object) -> str:
    if isinstance(address, tuple) and len(address) >= 2:
        host, port = address[:2]
        return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    return str(address)


def _refuse(what: str, address: str) -> NoReturn:
    raise NoAnswerRecorded(
        f"{what} {address} was refused: this run is offline",
        fix="run without --offline, or record what needs it through an HTTP library that vcrpy knows",
    )


def _set(stack: ExitStack, owner: Any, name: str, value: Any) -> None:
    """Set an attribute until the stack unwinds; one that was inherited is taken away again."""
    if name in vars(owner):
        stack.callback(setattr, owner, name, vars(owner)[name])
    else:
        stack.callback(delattr, owner, name)
    setattr(owner, name, value)
