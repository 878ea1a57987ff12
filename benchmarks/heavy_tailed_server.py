"""A chat completion server whose service times are heavy-tailed, by seed: most calls are quick, a few take very long.

Which time a call takes depends on the seed, the sample and how often that sample was asked before: every attempt is a
draw of its own, and whoever knows the seed knows the times. GET /truth tells what was asked, and when it was answered.
"""

from __future__ import annotations

import asyncio
import math
import random
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.request import urlopen

import orjson

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.fast_server import BODY

MEDIAN_SECONDS = 0.5
TAILS: dict[str, Callable[[random.Random], float]] = {
    "lognormal": lambda chance: chance.lognormvariate(math.log(MEDIAN_SECONDS), 1.0),
    "pareto": lambda chance: MEDIAN_SECONDS * 2 ** (-1 / 2.5) * chance.paretovariate(2.5),
}
"""Lognormal with sigma 1: one in fifty takes 8 times the median. Pareto with alpha 2.5: fewer, and some much longer."""
_REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
"""It states no limit: one of its own would pace the calls."""
_SAMPLE = re.compile(rb'(?:Commit |"content":")(\d+) ')


def service_seconds(tail: str, seed: int, sample: int, attempt: int) -> float:
    """Return how long one attempt takes."""
    return TAILS[tail](random.Random(f"{seed}:{sample}:{attempt}"))  # noqa: S311 - no secret


class _Truth:
    """What was asked, and when each sample was first answered."""

    def __init__(self) -> None:
        self.began: float | None = None
        self.asked: Counter[int] = Counter()
        self.answered: dict[int, float] = {}
        self.in_flight = self.most_in_flight = self.broken_off = 0

    def as_json(self) -> bytes:
        seconds = max(self.answered.values(), default=0.0) - (self.began or 0.0)
        document = {
            "calls": self.asked.total(),
            "samples": len(self.answered),
            "seconds": seconds,
            "most_in_flight": self.most_in_flight,
            "broken_off": self.broken_off,
        }
        return orjson.dumps(document)


class _Connection(asyncio.Protocol):
    """One connection: a reply some time after a whole request has come."""

    def __init__(self, tail: str, seed: int, truth: _Truth) -> None:
        self._tail, self._seed, self._truth = tail, seed, truth
        self._received = bytearray()
        self._replying: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._replying is not None:
            self._replying.cancel()
            self._truth.in_flight -= 1
            self._truth.broken_off += 1

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        end = received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(received[:end]).lower()
        at = head.find(b"\r\ncontent-length:")
        length = 0 if at < 0 else int(head[at + 17 :].partition(b"\r\n")[0])
        if len(received) < end + 4 + length:
            return
        asked = _SAMPLE.search(bytes(received))
        received.clear()
        if head.startswith(b"get /truth"):
            body = self._truth.as_json()
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        else:
            assert asked is not None
            self._begin(int(asked[1]))

    def _begin(self, sample: int) -> None:
        truth, loop = self._truth, asyncio.get_running_loop()
        if truth.began is None:
            truth.began = loop.time()
        seconds = service_seconds(self._tail, self._seed, sample, truth.asked[sample])
        truth.asked[sample] += 1
        truth.in_flight += 1
        truth.most_in_flight = max(truth.most_in_flight, truth.in_flight)
        self._replying = loop.call_later(seconds, self._reply, sample)

    def _reply(self, sample: int) -> None:
        self._replying = None
        self._truth.in_flight -= 1
        self._truth.answered.setdefault(sample, asyncio.get_running_loop().time())
        self._transport.write(_REPLY)


class HeavyTailedServer:
    """Starts the server in a process of its own and stops it; a context manager."""

    def __init__(self, tail: str, seed: int) -> None:
        self._command = [sys.executable, str(Path(__file__).resolve()), tail, str(seed)]

    def __enter__(self) -> HeavyTailedServer:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - ours
        assert self._process.stdout is not None
        self._url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        self.base_url = f"{self._url}/v1"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(b"")

    def truth(self) -> dict[str, Any]:
        """Return what really happened. `seconds` run from the first request to the last answer that was the first."""
        with urlopen(f"{self._url}/truth") as reply:  # noqa: S310 - ours
            found: dict[str, Any] = orjson.loads(reply.read())
        return found


async def _serve(tail: str, seed: int) -> None:
    truth, loop = _Truth(), asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(tail, seed, truth), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    import os  # noqa: PLC0415

    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2])))
