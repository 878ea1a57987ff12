"""A server whose replies are late in the ways that a split of the time-outs tells apart. In this process.

A word of the path says how: `/hang` accepts and says nothing, `/stall` sends half of a reply, `/blanks` sends blank
lines for ever, as a service does that is still at work. Anything else is answered at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

ANSWER = b'{"model": "m", "choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}]}'
BLANK_EVERY_SECONDS = 0.01


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = head.partition("content-length:")[2].split("\r\n")[0]
            await reader.readexactly(int(length or 0))
            await _reply(head.split()[1], writer)
            await writer.drain()


async def _reply(path: str, writer: asyncio.StreamWriter) -> None:
    if "/hang" in path:
        await asyncio.Event().wait()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
    if "/blanks" in path:
        writer.write(head + b"transfer-encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"1\r\n\n\r\n")
            await writer.drain()
            await asyncio.sleep(BLANK_EVERY_SECONDS)
        return
    writer.write(head + b"content-length: %d\r\n\r\n" % len(ANSWER))
    writer.write(ANSWER[: len(ANSWER) // 2])
    await writer.drain()
    if "/stall" in path:
        await asyncio.Event().wait()
    writer.write(ANSWER[len(ANSWER) // 2 :])


@asynccontextmanager
async def late_server() -> AsyncIterator[str]:
    """Run the server and return its address."""
    serving: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            await _serve(reader, writer)
        finally:
            serving.discard(task)
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
