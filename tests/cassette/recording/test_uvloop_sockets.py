"""A loop of uvloop connects where the guard can see it, like Python's own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator

import pytest

from llmbatch.cassette.recording.guard import passing_through, unrecorded_refused, unseen_libraries
from llmbatch.cassette.recording.network import network_blocked
from llmbatch.errors import NoAnswerRecorded, UnrecordedConnection

uvloop = pytest.importorskip("uvloop")


@pytest.fixture
def port() -> Iterator[int]:
    """Listened at, and read by nobody."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def run(reach: Callable[[int], Awaitable[None]], port: int) -> None:
    """Await it in a loop of uvloop."""

    async def main() -> None:
        await reach(port)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


async def open_connection(port: int) -> None:
    _, writer = await asyncio.open_connection("localhost", port, family=socket.AF_INET)
    writer.close()
    await writer.wait_closed()


async def sock_connect(port: int) -> None:
    with socket.socket() as sock:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))


async def open_datagrams(port: int) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=("127.0.0.1", port))
    transport.close()


WAYS = [open_connection, sock_connect, open_datagrams]


@pytest.mark.parametrize("reach", WAYS)
def test_every_way_past_the_recorder_is_refused_and_told(reach: Callable[[int], Awaitable[None]], port: int) -> None:
    """Unpatched, uvloop connects in C, and nobody would hear of it."""
    heard: list[UnrecordedConnection] = []

    with unrecorded_refused([], heard.append), pytest.raises(UnrecordedConnection):
        run(reach, port)

    assert f"localhost:{port}" in heard[0].what


@pytest.mark.parametrize("reach", WAYS)
def test_what_may_pass_passes(reach: Callable[[int], Awaitable[None]], port: int) -> None:
    """The recorder's own, and a host that is allowed by its name."""
    with unrecorded_refused([]), passing_through():
        run(reach, port)
    with unrecorded_refused([f"localhost:{port}"]):
        run(reach, port)


def test_a_connection_carries_what_is_sent(port: int) -> None:
    """Both ways, by host and port, as a client library opens it."""

    async def talk(port: int) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write((await reader.readline()).upper())
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
        writer.write(b"said\n")
        heard.append(await reader.read())
        writer.close()
        server.close()

    heard: list[bytes] = []
    with unrecorded_refused(["127.0.0.1"]):
        run(talk, port)

    assert heard == [b"SAID\n"]


def test_nobody_listening_is_an_error_of_the_system(port: int) -> None:
    """Which the rules for exceptions know."""
    with unrecorded_refused(["*"]), pytest.raises(ConnectionRefusedError):
        run(open_connection, 1)


def test_offline_no_name_is_looked_up() -> None:
    """Nor by a thread of libuv's."""
    with network_blocked(), pytest.raises(NoAnswerRecorded, match=r"name look-up of model\.invalid"):
        run(lambda _: asyncio.open_connection("model.invalid", 80), 0)  # type: ignore[arg-type, return-value]


def test_datagrams_that_nobody_could_see_are_refused() -> None:
    """A socket that is not connected sends anywhere."""

    async def open_endpoint(port: int) -> None:
        await asyncio.get_running_loop().create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))

    with unrecorded_refused(["*"]), pytest.raises(NotImplementedError, match="remote_addr"):
        run(open_endpoint, 0)


def test_it_is_unseen_outside_and_plain_again_afterwards(port: int) -> None:
    """What is patched is put back, and what nobody watches is named."""
    names = ("getaddrinfo", "create_connection", "create_datagram_endpoint")

    with unrecorded_refused([]):
        inside = "uvloop" in unseen_libraries()
    run(open_connection, port)

    assert (inside, "uvloop" in unseen_libraries()) == (False, True)
    assert not set(names) & set(vars(uvloop.Loop))
