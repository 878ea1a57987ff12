"""What network_blocked() refuses, what it leaves alone, and that nothing stays behind."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
import urllib.request
from collections.abc import Callable

import aiohttp
import openai
import pytest

from llmbatch.cassette.recording.network import network_blocked
from llmbatch.errors import NoAnswerRecorded
from tests.cassette.recording.ways import connect, connect_ex, sendto


def _create_connection(port: int) -> None:
    socket.create_connection(("127.0.0.1", port)).close()


def _sendto_with_flags(port: int) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", 0, ("127.0.0.1", port))


def _sendmsg(port: int) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.sendmsg([b"x"], [], 0, ("127.0.0.1", port))


def _urlopen(port: int) -> None:
    urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()


@pytest.mark.parametrize(
    "reach",
    [connect, connect_ex, _create_connection, sendto, _sendto_with_flags, _sendmsg, _urlopen],
)
def test_every_way_out_is_refused_and_names_the_address(reach: Callable[[int], None], port: int) -> None:
    """Loopback counts as the network: a local model server is a service too."""
    with network_blocked(), pytest.raises(NoAnswerRecorded) as refused:
        reach(port)

    assert f"127.0.0.1:{port}" in refused.value.what
    assert "--offline" in refused.value.details["fix"]


def test_an_address_of_version_six_is_written_in_brackets() -> None:
    """So that the port can be told from the address."""
    with (
        network_blocked(),
        socket.socket(socket.AF_INET6) as sock,
        pytest.raises(NoAnswerRecorded) as refused,
    ):
        sock.connect(("::1", 9))

    assert "[::1]:9" in refused.value.what


@pytest.mark.parametrize("look_up", [socket.gethostbyname, lambda name: socket.getaddrinfo(name, 80)])
def test_a_name_is_not_looked_up(look_up: Callable[[str], object]) -> None:
    """A DNS query is traffic as well, and tells others which host a run would have called."""
    name = "api.example.invalid"
    by_attribute = getattr(look_up, "__name__", "")

    with network_blocked(), pytest.raises(NoAnswerRecorded, match=r"api\.example\.invalid"):
        # through the module, as libraries do: a function bound before the block is the real one
        getattr(socket, by_attribute, look_up)(name)


def test_threads_are_refused_too(port: int) -> None:
    """The block holds for the process, whoever started the thread."""
    caught: list[BaseException] = []

    def reach() -> None:
        try:
            connect(port)
        except NoAnswerRecorded as error:
            caught.append(error)

    with network_blocked():
        thread = threading.Thread(target=reach)
        thread.start()
        thread.join()

    assert len(caught) == 1


def test_socket_pairs_and_unix_sockets_work_on() -> None:
    """Event loops and subprocesses are built on them."""
    with network_blocked():
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.sendall(b"ping")
            received = theirs.recv(4)

    assert received == b"ping"


def test_a_socket_pair_over_loopback_works_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has no other: its event loops make their self-pipe so."""

    def over_loopback() -> tuple[socket.socket, socket.socket]:
        with socket.create_server(("127.0.0.1", 0)) as server:
            near = socket.create_connection(server.getsockname())
            return near, server.accept()[0]

    monkeypatch.setattr(socket, "socketpair", over_loopback)

    with network_blocked():
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.sendall(b"ping")
            received = theirs.recv(4)

    assert received == b"ping"


def test_a_socket_connected_before_works_on(listener: socket.socket) -> None:
    """What is open may go on: a debugger, a notebook's kernel."""
    near = socket.create_connection(listener.getsockname())
    far, _ = listener.accept()

    with near, far, network_blocked():
        near.sendall(b"ping")
        received = far.recv(4)

    assert received == b"ping"


def test_an_event_loop_made_inside_runs_and_its_connections_are_refused(port: int) -> None:
    """asyncio connects through the same sockets."""

    async def reach() -> None:
        await asyncio.sleep(0)
        await asyncio.open_connection("127.0.0.1", port)

    with network_blocked(), pytest.raises(NoAnswerRecorded, match=f"127.0.0.1:{port}"):
        asyncio.run(reach())


async def test_aiohttp_hands_the_refusal_on(port: int) -> None:
    """The author sees the reason, not a connector's error."""
    with network_blocked():
        async with aiohttp.ClientSession() as session:
            with pytest.raises(NoAnswerRecorded, match=f"127.0.0.1:{port}"):
                await session.get(f"http://127.0.0.1:{port}/")


def _inside(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def test_openai_does_not_try_a_refused_connection_again(port: int) -> None:
    """An OSError would cost its retries and their sleeps, and end as `Connection error.`."""
    client = openai.AsyncOpenAI(api_key="none", base_url=f"http://127.0.0.1:{port}/v1", max_retries=8)

    started = time.monotonic()
    with network_blocked(), pytest.raises((NoAnswerRecorded, ExceptionGroup)) as refused:
        await client.models.list()
    await client.close()

    assert isinstance(_inside(refused.value), NoAnswerRecorded)
    assert time.monotonic() - started < 5


def test_everything_is_put_back(port: int) -> None:
    """After the block, also after an error in it, the same functions are there as before."""
    names = ("connect", "connect_ex", "sendto", "sendmsg")
    own = {name: vars(socket.socket).get(name) for name in names}
    module = {name: getattr(socket, name) for name in ("getaddrinfo", "gethostbyname", "socketpair")}

    with contextlib.suppress(KeyError), network_blocked():
        raise KeyError

    assert own == {name: vars(socket.socket).get(name) for name in names}
    assert module == {name: getattr(socket, name) for name in module}
    connect(port)
