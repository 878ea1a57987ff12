"""Every connection and datagram of the process's Python sockets, shown to a check before it leaves.

Knows sockets only, no cassette and no HTTP.
"""

from __future__ import annotations

import functools
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from llmbatch.cassette.recording.uvloop_sockets import uvloop_through_sockets

_INTERNET = frozenset({socket.AF_INET, socket.AF_INET6})
LOOK_UPS = ("getaddrinfo", "gethostbyname", "gethostbyname_ex")

Check = Callable[[socket.socket, object], None]


@contextmanager
def sockets_checked(check: Check) -> Iterator[None]:
    """Call `check(socket, address)` before an AF_INET or AF_INET6 socket connects or sends a datagram; all threads.

    What it raises goes up to whoever connects. AF_UNIX sockets, `socket.socketpair`, listening, and sockets that
    are connected already are not asked about, and so event loops made inside work on (on Windows their self-pipe
    is a socket pair over loopback, and its proactor connects past Python's sockets: both are seen to). Libraries
    in C with sockets of their own (libcurl) are not reached, nor is uvloop where it is imported later.
    """
    pairing = threading.local()

    def ask(sock: socket.socket, address: object) -> None:
        if sock.family not in _INTERNET or getattr(pairing, "on", False):
            return
        try:
            check(sock, address)
        except BaseException:
            if sock.type == socket.SOCK_STREAM:
                sock.close()  # socket.create_connection does so after an OSError only
            raise

    def before(call: Callable[..., Any], address_of: Callable[..., object]) -> Callable[..., Any]:
        @functools.wraps(call)
        def checked(sock: socket.socket, *arguments: Any) -> Any:
            address = address_of(*arguments)
            if address is not None:
                ask(sock, address)
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
            replace(stack, socket.socket, name, before(getattr(socket.socket, name), lambda address: address))
        replace(stack, socket.socket, "sendto", before(socket.socket.sendto, lambda *given: given[-1]))
        if sys.platform != "win32":
            replace(stack, socket.socket, "sendmsg", before(socket.socket.sendmsg, _sendmsg_address))
        replace(stack, socket, "socketpair", pair(socket.socketpair))
        if sys.platform == "win32":
            from asyncio import IocpProactor  # noqa: PLC0415

            connect = IocpProactor.connect

            def connect_checked(proactor: Any, conn: socket.socket, address: Any) -> Any:
                ask(conn, address)
                return connect(proactor, conn, address)

            replace(stack, IocpProactor, "connect", connect_checked)
        stack.enter_context(uvloop_through_sockets())
        yield


@contextmanager
def look_ups_wrapped(wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Iterator[None]:
    """Put `wrap` around the functions that ask a name server; a module that keeps one of them keeps no wrapper's wish.

    A library imported meanwhile may bind the function by name for good: after the end it calls the real one.
    """
    ended = False

    def until_the_end(call: Callable[..., Any]) -> Callable[..., Any]:
        wrapped = wrap(call)

        @functools.wraps(call)
        def looked_up(*arguments: Any, **options: Any) -> Any:
            return (call if ended else wrapped)(*arguments, **options)

        return looked_up

    with ExitStack() as stack:
        for name in LOOK_UPS:
            replace(stack, socket, name, until_the_end(getattr(socket, name)))
        try:
            yield
        finally:
            ended = True


def replace(stack: ExitStack, owner: Any, name: str, value: Any) -> None:
    """Set an attribute until the stack unwinds; one that was inherited is taken away again."""
    if name in vars(owner):
        stack.callback(setattr, owner, name, vars(owner)[name])
    else:
        stack.callback(delattr, owner, name)
    setattr(owner, name, value)


def shown(address: object) -> str:
    """Return a socket address as people write it: `host:port`, version six in brackets."""
    if isinstance(address, tuple) and len(address) >= 2:
        host, port = address[:2]
        return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    return str(address)


def _sendmsg_address(_buffers: object, _ancillary: object = (), _flags: int = 0, address: object = None) -> object:
    return address
