"""What unrecorded_refused() lets through and what it refuses, and that nothing stays behind."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable

import httpcore2
import pytest

from llmbatch.cassette.recording.guard import passing_through, unrecorded_refused, unseen_libraries
from llmbatch.errors import UnrecordedConnection
from tests.cassette.recording.ways import connect, connect_ex, sendto


def _create_connection(port: int) -> None:
    socket.create_connection(("localhost", port)).close()


def _open_connection(port: int) -> None:
    async def reach() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        await writer.wait_closed()

    asyncio.run(reach())


def _sock_connect(port: int) -> None:
    async def reach() -> None:
        with socket.socket() as sock:
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))

    asyncio.run(reach())


def _datagram_endpoint(port: int) -> None:
    async def reach() -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=("127.0.0.1", port))
        transport.close()

    asyncio.run(reach())


def _unknown_http_stack(port: int) -> None:
    with contextlib.suppress(httpcore2.RemoteProtocolError), httpcore2.ConnectionPool() as pool:
        pool.request("GET", f"http://127.0.0.1:{port}/", extensions={"timeout": {"read": 0.01}})


WAYS = [connect, connect_ex, _create_connection, _open_connection, _sock_connect, _datagram_endpoint, sendto]


@pytest.mark.parametrize("reach", [*WAYS, _unknown_http_stack])
def test_every_way_past_the_recorder_is_refused_and_told(reach: Callable[[int], None], port: int) -> None:
    """Who, where, and how it is allowed; loopback is no exception, a local model server is a service."""
    heard: list[UnrecordedConnection] = []

    with unrecorded_refused([], heard.append), pytest.raises(UnrecordedConnection) as refused:
        reach(port)

    assert f"localhost:{port}" in refused.value.what
    assert f'allow_hosts = ["localhost:{port}"]' in refused.value.details["fix"]
    assert refused.value in heard


@pytest.mark.parametrize("reach", WAYS)
def test_what_the_recorder_sends_itself_passes(reach: Callable[[int], None], port: int) -> None:
    """Also from the tasks that a client starts to try several addresses: they inherit the mark."""
    with unrecorded_refused([]), passing_through():
        reach(port)


def test_the_mark_ends_with_the_request(port: int) -> None:
    """The next connection has to be the recorder's own again."""
    with unrecorded_refused([]):
        with passing_through():
            connect(port)
        with pytest.raises(UnrecordedConnection):
            connect(port)


def test_the_library_is_named(port: int) -> None:
    """The stack of a connection begins in the standard library; what matters is who called that."""
    with unrecorded_refused([]), pytest.raises(UnrecordedConnection, match=r"by httpcore2"):
        _unknown_http_stack(port)


@pytest.mark.parametrize(
    "pattern", ["127.0.0.1", "127.0.0.1:{port}", "localhost", "LOCALHOST:{port}", "local*:{port}", "*", "*:{port}"]
)
@pytest.mark.parametrize("reach", [connect, _create_connection])
def test_a_host_that_is_allowed_is_reached(reach: Callable[[int], None], pattern: str, port: int) -> None:
    """By the name that was looked up or by address, with a port or for all."""
    with unrecorded_refused([pattern.format(port=port)]):
        reach(port)


@pytest.mark.parametrize("pattern", ["127.0.0.1:1", "localhost:1", "127.0.0.2", "example.org:{port}", "*.internal", ""])
def test_a_host_that_is_not_is_not(pattern: str, port: int) -> None:
    """Another port, another address, another name."""
    with unrecorded_refused([pattern.format(port=port)]), pytest.raises(UnrecordedConnection):
        _create_connection(port)


def test_an_address_of_version_six_can_be_allowed() -> None:
    """With its port in brackets, as it is shown."""
    with unrecorded_refused(["[::2]:9"]), socket.socket(socket.AF_INET6) as sock, pytest.raises(OSError):  # noqa: PT011 - which one depends on the machine
        sock.connect(("::2", 9))

    with (
        unrecorded_refused(["[::2]:8"]),
        socket.socket(socket.AF_INET6) as sock,
        pytest.raises(UnrecordedConnection) as refused,
    ):
        sock.connect(("::2", 9))
    assert "[::2]:9" in refused.value.what


def test_threads_are_refused_too(port: int) -> None:
    """Whoever started them; and the run hears of it where the thread's exception goes nowhere."""
    heard: list[UnrecordedConnection] = []

    def reach() -> None:
        with contextlib.suppress(UnrecordedConnection):
            connect(port)

    with unrecorded_refused([], heard.append):
        thread = threading.Thread(target=reach)
        thread.start()
        thread.join()

    assert len(heard) == 1


def test_names_may_be_looked_up() -> None:
    """A look-up pays nothing, and a request that fails by it is recorded as a failure."""
    with unrecorded_refused([]), socket.socket(type=socket.SOCK_DGRAM) as sock:
        found = socket.getaddrinfo("localhost", 80)
        sock.sendto(b"", ("127.0.0.1", 53))
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", 53), timeout=1):
            pass  # a resolver in Python asks by TCP where the answer is long

    assert found


def test_socket_pairs_and_connected_sockets_work_on(listener: socket.socket) -> None:
    """Event loops, debuggers and notebooks live on them."""
    near = socket.create_connection(listener.getsockname())
    far, _ = listener.accept()

    with near, far, unrecorded_refused([]):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.sendall(b"ping")
            received = theirs.recv(4)
        near.sendall(b"pong")
        received += far.recv(4)

    assert received == b"pingpong"


def test_a_look_up_that_a_library_bound_meanwhile_is_plain_afterwards(port: int) -> None:
    """A module imported in a run keeps the function it found there for the life of the process."""
    with contextlib.suppress(KeyError), unrecorded_refused([]):
        bound = socket.getaddrinfo
        raise KeyError

    assert socket.getaddrinfo is not bound
    assert bound("127.0.0.1", port) == socket.getaddrinfo("127.0.0.1", port)
    connect(port)


def test_libraries_that_nobody_can_watch_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """gRPC and curl bring their own sockets."""
    monkeypatch.setitem(__import__("sys").modules, "pycurl", contextlib)

    assert "pycurl" in unseen_libraries()
