"""uvloop's connections, made by Python's sockets: it would connect and look up names in C, past whoever watches these.

Of use only where uvloop is imported; this module never imports it.
"""

from __future__ import annotations

import functools
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

_LOCAL = frozenset({getattr(socket, "AF_UNIX", None)})


@contextmanager
def uvloop_through_sockets() -> Iterator[None]:
    """Let every loop of uvloop connect, send datagrams and look up names as asyncio's own loops do.

    Datagrams of a socket that is not connected could not be seen, so NotImplementedError is raised for its endpoint.
    """
    with ExitStack() as stack:
        if "uvloop" in sys.modules:
            loop_class: Any = sys.modules["uvloop"].Loop
            for name, wrap in _WRAPPERS.items():
                _wrap(stack, loop_class, name, wrap)
        yield


def uvloop_is_seen() -> bool:
    """Whether the loops of uvloop, which is imported, go through Python's sockets now."""
    return hasattr(sys.modules["uvloop"].Loop.create_connection, "__wrapped__")


def _wrap(stack: ExitStack, owner: Any, name: str, wrap: Callable[..., Any]) -> None:
    call = getattr(owner, name)

    @functools.wraps(call)
    async def wrapped(loop: Any, *arguments: Any, **options: Any) -> Any:
        return await wrap(loop, functools.partial(call, loop), *arguments, **options)

    stack.callback(delattr, owner, name)  # it is the base class's, in C
    setattr(owner, name, wrapped)


async def _look_up(loop: Any, call: Any, host: Any, port: Any, **options: Any) -> Any:
    return await loop.run_in_executor(None, functools.partial(socket.getaddrinfo, host, port, **options))


async def _connect(
    loop: Any,
    call: Any,
    protocol_factory: Any,
    host: str | None = None,
    port: int | None = None,
    *,
    sock: socket.socket | None = None,
    **options: Any,
) -> Any:
    if sock is None and host is not None:
        if options.get("ssl"):
            options.setdefault("server_hostname", host)
        local = options.pop("local_addr", None)
        where = {name: options.pop(name, 0) for name in ("family", "proto", "flags")}
        sock = await _connected(loop, (host, port), socket.SOCK_STREAM, local, where)
    return await call(protocol_factory, sock=sock, **options)


async def _open_datagrams(
    loop: Any,
    call: Any,
    protocol_factory: Any,
    local_addr: Any = None,
    remote_addr: Any = None,
    *,
    sock: socket.socket | None = None,
    **options: Any,
) -> Any:
    if sock is None and remote_addr is not None and options.get("family") not in _LOCAL:
        where = {name: options.pop(name, 0) for name in ("family", "proto", "flags")}
        sock = await _connected(loop, remote_addr, socket.SOCK_DGRAM, local_addr, where)
        return await call(protocol_factory, sock=sock)
    if sock is None and options.get("family") not in _LOCAL:
        msg = "uvloop would send these datagrams where nobody can see them: give remote_addr, or uninstall uvloop"
        raise NotImplementedError(msg)
    return await call(protocol_factory, local_addr, remote_addr, sock=sock, **options)


async def _connected(
    loop: Any, address: Any, kind: socket.SocketKind, local: Any, where: dict[str, int]
) -> socket.socket:
    """Return a socket that is connected to the first address of a name that takes it. Raises OSError."""
    problem: OSError = OSError(f"no address of {address[0]}")
    for family, found_kind, proto, _, found in await loop.getaddrinfo(*address[:2], type=kind, **where):
        sock = socket.socket(family, found_kind, proto)
        try:
            sock.setblocking(False)
            if local is not None:
                sock.bind(local)
            await loop.sock_connect(sock, found)
        except OSError as error:
            sock.close()
            problem = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise problem


_WRAPPERS: dict[str, Callable[..., Any]] = {
    "getaddrinfo": _look_up,
    "create_connection": _connect,
    "create_datagram_endpoint": _open_datagrams,
}
