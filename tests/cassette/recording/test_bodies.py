"""Whatever a body is (encoded, streamed, in parts, no text), it is stored readable and replayed to every client."""

from __future__ import annotations

import asyncio
import gzip
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import httpx2
import openai
import pytest
import requests

from llmbatch.cassette.recording.recorder import recording
from llmbatch.cassette.store import Store
from tests.cassette.recording.test_recorder import CLIENTS, Client, ask
from tests.support.fault_server import FaultServer
from tests.support.origin import Origin, origin

TEXT = b'{"a":"hello hello hello"}'
BINARY = bytes(range(256)) * 3
PACKED = gzip.compress(TEXT)  # a body may be a .gz file, and then be encoded as well
T = TypeVar("T")

NAMES = [client.__name__ for client in CLIENTS]


@pytest.fixture
def server() -> Iterator[Origin]:
    with origin() as server:
        yield server


def encoder(encoding: str) -> Callable[[bytes], bytes]:
    """Return what encodes a body; skips the test where the package for it is not installed."""
    if encoding == "br":
        brotli = pytest.importorskip("brotli", minversion="1.2")
        return lambda body: bytes(brotli.compress(body))
    if encoding == "zstd":
        zstd = pytest.importorskip("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
        return lambda body: bytes(zstd.compress(body))
    known: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress}
    return known[encoding]


def recorded_and_replayed(folder: Path, send: Callable[[], T]) -> tuple[T, T, Store]:
    """Return what a client read when the answer was recorded, and when it was replayed."""
    with Store(folder, record_mode="new_episodes") as store, recording(store, on_warning=lambda text: None):
        live = send()
    with Store(folder) as store, recording(store):
        return live, send(), store


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("client", CLIENTS, ids=NAMES)
def test_an_encoded_reply_is_stored_decoded(client: Client, encoding: str, server: Origin, tmp_path: Path) -> None:
    """Each client reads what was meant, live and replayed; a .gz file stays one, whoever decoded around it."""
    bodies, encode = (TEXT, BINARY, PACKED, b""), encoder(encoding)
    for number, body in enumerate(bodies):
        headers = {"content-type": "x/y", "content-encoding": encoding}
        server.canned[f"/{number}"] = (headers, encode(body) if body else b"")

    def send() -> list[bytes]:
        return [ask(client, f"{server.url}/{number}", b"q")[0].body for number in range(len(bodies))]

    live, replayed, store = recorded_and_replayed(tmp_path, send)
    with store:
        recorded = [interaction.reply for interaction in store]

    assert [*bodies] == live == replayed == [reply.body for reply in recorded]
    assert [] == [reply for reply in recorded if "content-encoding" in reply.headers]
    assert [] == store.verify()


@pytest.mark.parametrize("client", CLIENTS, ids=NAMES)
def test_an_encoding_that_nobody_knows_is_replayed_as_sent(client: Client, server: Origin, tmp_path: Path) -> None:
    """It is an answer, and what it means is the task's affair."""
    server.canned["/x"] = ({"content-encoding": "made-up"}, BINARY)
    live, replayed, store = recorded_and_replayed(tmp_path, lambda: ask(client, f"{server.url}/x", b"q")[0].body)
    with store:
        [interaction] = store

    assert (BINARY, BINARY) == (live, replayed)
    assert ("made-up",) == interaction.reply.headers["content-encoding"]


def _requests_upload(url: str, content: bytes) -> bytes:
    return requests.post(url, files={"file": ("a.bin", content)}, data={"purpose": "x"}, timeout=30).content


def _httpx2_upload(url: str, content: bytes) -> bytes:
    return httpx2.post(url, files={"file": ("a.bin", content)}, data={"purpose": "x"}).content


def _aiohttp_upload(url: str, content: bytes) -> bytes:
    async def send() -> bytes:
        form = aiohttp.FormData({"purpose": "x"})
        form.add_field("file", content, filename="a.bin")
        async with aiohttp.ClientSession() as session, session.post(url, data=form) as reply:
            return await reply.read()

    return asyncio.run(send())


@pytest.mark.parametrize("upload", [_requests_upload, _httpx2_upload, _aiohttp_upload])
def test_an_upload_is_found_again_under_another_boundary(
    upload: Callable[[str, bytes], bytes], server: Origin, tmp_path: Path
) -> None:
    """Clients draw it at random; a file that differs in one byte is another question."""
    url = f"{server.url}/files"
    live, replayed, store = recorded_and_replayed(tmp_path, lambda: upload(url, BINARY))
    with Store(tmp_path, record_mode="new_episodes") as again, recording(again, on_warning=lambda text: None):
        other = upload(url, BINARY + b"\0")

    assert live == replayed != other
    assert 2 == len(server.bodies)
    assert BINARY in server.bodies[0]
    assert [] == store.verify()


@pytest.mark.system
def test_a_stream_of_the_sdk_replays_event_by_event(tmp_path: Path) -> None:
    """All of it is in the cassette; only how it was cut into packets is not."""

    async def events(base_url: str) -> list[str]:
        messages: list[Any] = [{"role": "user", "content": "é \u2028 tell"}]
        async with openai.AsyncOpenAI(api_key="none", base_url=base_url, max_retries=0) as client:
            stream = await client.chat.completions.create(model="m", messages=messages, stream=True)
            return [chunk.model_dump_json() async for chunk in stream]

    with FaultServer() as service:
        base_url = service.base_url
        live, replayed, _ = recorded_and_replayed(tmp_path, lambda: asyncio.run(events(base_url)))
        calls = service.truth()["calls"]

    assert live == replayed
    assert len(live) > 1
    assert 1 == calls
