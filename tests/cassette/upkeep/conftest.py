"""A small cassette with everything that an export must carry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from llmbatch.call.values import Reply
from llmbatch.cassette.store import Store

Fill: TypeAlias = Callable[[Path], str]

URL = "https://api.example.com/v1/chat/completions"
JSON = {"content-type": "application/json"}
HEADERS = {"content-type": ("application/json",), "x-request-id": ("r1",)}
WHEN = "2026-11-22T09:30:00.123456Z"
CHAT = (
    '{"model":"m-1","choices":[{"message":{"content":"caf\u00e9 \U0001f600\u2028\x85"},"finish_reason":"stop"}],'
    '"usage":{"prompt_tokens":7,"completion_tokens":2}}'
).encode()
REPLIES = {
    b'{"model":"m","n":1}': CHAT,
    b'{"model":"m","n":2}': b'{\n  "pretty": 1.50,\n  "huge": 123456789012345678901234567890\n}',
    b'{"model":"m","n":3}': b"\xff\xfe\x00 bytes",
    b'{"model":"m","n":4}': b"",
    b'{"model":"m","n":5}': b'{"a":1,"a":2}',
    b'{"model":"m","n":6}': b"plain \x1b[2J # crc32=00000000",
}


@pytest.fixture
def fill() -> Fill:
    """Fill a folder with answers, draws of one request, and failed attempts; return the content digest."""

    def filled(folder: Path) -> str:
        with Store(folder, record_mode="new_episodes") as store:
            for body, answer in REPLIES.items():
                call = store.call(store.request("POST", URL, JSON, body), 0, 0)
                store.record(call, Reply(200, "OK", HEADERS, answer, WHEN, 1500), case="t[v]::1")
            for ordinal in (2, 1):
                call = store.call(store.request("POST", URL, JSON, b'{"model":"m","n":1}'), 1, ordinal)
                store.record(call, Reply(200, "OK", HEADERS, b"draw %d" % ordinal, WHEN, 1))
            for number, reply in ((7, Reply(503, "busy", {}, b"no", WHEN)), (8, None)):
                call = store.call(store.request("POST", URL, JSON, b'{"model":"m","n":%d}' % number), 0, 0)
                store.record_failure(call, "server_error", "busy \x1b[2J", reply=reply)
            return store.content_digest()

    return filled
