"""Replies that break on the wire, and those that come slowly or in odd clothes."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
from contextlib import suppress
from functools import cache

from aiohttp import web

PIECES = 5
PIECE_SECONDS = 0.05
BOMB_BYTES = 65 * 1024 * 1024
_HTTP = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


async def cut(request: web.BaseRequest, encoded: bytes, *, reset: bool) -> web.StreamResponse:
    """Promise the whole body, send half of it, and close or reset the connection."""
    response = web.StreamResponse(headers={"content-length": str(len(encoded)), "content-type": "application/json"})
    with suppress(ConnectionError):  # the client has left
        await response.prepare(request)
        await response.write(encoded[: len(encoded) // 2])
    _close(request, reset=reset)
    return response


async def drip(request: web.BaseRequest, encoded: bytes, *, blanks: bool = False) -> web.StreamResponse:
    """Send the body in pieces; with `blanks` send blank lines first and then all of it."""
    response = web.StreamResponse(headers={"content-type": "application/json"})
    response.enable_chunked_encoding()
    size = len(encoded) // PIECES + 1
    pieces = [encoded[start : start + size] for start in range(0, len(encoded), size)]
    with suppress(ConnectionError):  # the client has left
        await response.prepare(request)
        for piece in [b"\n"] * PIECES + [encoded] if blanks else pieces:
            await response.write(piece)
            await asyncio.sleep(PIECE_SECONDS)
        await response.write_eof()
    return response


def raw(request: web.BaseRequest, sent: bytes) -> web.StreamResponse:
    """Send bytes past HTTP and close the connection."""
    if request.transport is not None:
        request.transport.write(sent)
    _close(request)
    return web.Response()


def excess(request: web.BaseRequest, encoded: bytes) -> web.StreamResponse:
    """Promise half of what is sent."""
    return raw(request, _HTTP % (len(encoded) // 2) + encoded)


async def hang(request: web.BaseRequest) -> web.StreamResponse:
    """Say nothing until the client has left."""
    while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.02)
    return web.Response()


def bomb() -> web.Response:
    """Return a small body that unpacks to more than a client should read."""
    headers = {"content-encoding": "gzip"}
    return web.Response(body=_packed_zeros(), content_type="application/json", headers=headers)


@cache
def _packed_zeros() -> bytes:
    return gzip.compress(b"0" * BOMB_BYTES, 9, mtime=0)


def _close(request: web.BaseRequest, *, reset: bool = False) -> None:
    transport = request.transport
    if transport is None:
        return
    if reset:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()
