"""A chat completion server that is not the bottleneck: one answer for everybody, in a process of its own.

    python benchmarks/fast_server.py [limits]       # prints its port; with `limits` its replies state rate limits

It speaks as much HTTP/1.1 as clients that keep their connections and send a content length need, reads no body and
answers each request at once with the same 1.6 KB. It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType

import orjson

_SAID = {"reasoning_steps": ["The message says what was changed and why. " * 6] * 4, "category": "corrective"}
_COMPLETION = {
    "id": "chatcmpl-00000000000000000001",
    "object": "chat.completion",
    "created": 1_760_000_000,
    "model": "model-a-2026-01-01",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": orjson.dumps(_SAID).decode(), "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 260,
        "completion_tokens": 240,
        "total_tokens": 500,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    },
    "service_tier": "default",
    "system_fingerprint": "fp_0123456789",
}
BODY = orjson.dumps(_COMPLETION)
_STATED = b"X-Ratelimit-Limit-Requests: 30000000\r\nX-Ratelimit-Remaining-Requests: 29999999\r\n"
"""Limits as services state them, that are never the bottleneck."""
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: req-0123456789\r\n"


def _reply(*, states_limits: bool) -> bytes:
    length = b"Openai-Processing-Ms: 412\r\nContent-Length: %d\r\n\r\n" % len(BODY)
    return _HEAD + (_STATED if states_limits else b"") + length + BODY


class _Connection(asyncio.Protocol):
    """One connection: a reply as soon as a whole request has come."""

    def __init__(self, reply: bytes) -> None:
        self._reply = reply
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        while (end := received.find(b"\r\n\r\n")) >= 0:
            head = bytes(received[:end]).lower()
            at = head.find(b"\r\ncontent-length:")
            length = 0 if at < 0 else int(head[at + 17 :].partition(b"\r\n")[0])
            if len(received) < end + 4 + length:
                return
            del received[: end + 4 + length]
            self._transport.write(self._reply)


async def _serve(reply: bytes) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(reply), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    import os  # noqa: PLC0415

    os._exit(0)


class FastServer:
    """Starts the server and stops it; a context manager. `base_url` is for an endpoint."""

    def __init__(self, *, states_limits: bool = False) -> None:
        self._states_limits = states_limits

    def __enter__(self) -> FastServer:
        command = [sys.executable, str(Path(__file__).resolve()), *(["limits"] if self._states_limits else [])]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - ours
        assert self._process.stdout is not None
        self.base_url = f"http://127.0.0.1:{int(self._process.stdout.readline())}/v1"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(b"")


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    asyncio.run(_serve(_reply(states_limits="limits" in sys.argv)))
