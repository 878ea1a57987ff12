"""A tiny HTTP server on 127.0.0.1: answers by path, remembers what it was asked. No model, no faults."""

from __future__ import annotations

import gzip
import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SSE = b'data: {"choices": [{"delta": {"content": "h\xc3\xa9\xe2\x80\xa8"}}]}\n\ndata: [DONE]\n\n'


class Origin(ThreadingHTTPServer):
    """Counts requests; `bodies` and `seen` (headers) are what they carried, `statuses` (if any) what the next ones get.

    `canned` are replies by path: their headers and their body as sent. Below `/away` it redirects to the URL `away`.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[bytes] = []
        self.seen: list[dict[str, str]] = []
        self.statuses: list[int] = []
        self.canned: dict[str, tuple[dict[str, str], bytes]] = {}
        self.away = ""
        self.numbers = itertools.count()

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Origin

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing."""

    def _answer(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        asked = self.rfile.read(length)
        self.server.bodies.append(asked)
        self.server.seen.append({name.lower(): value for name, value in self.headers.items()})
        number = next(self.server.numbers)
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        body = json.dumps({"number": number, "asked": asked.decode("utf-8", "replace")}).encode()
        headers = {"content-type": "application/json"}
        if self.path in self.server.canned:
            headers, body = self.server.canned[self.path]
        elif self.path.startswith("/gzip"):
            headers["content-encoding"] = "gzip"
            body = gzip.compress(body)
        elif self.path.startswith("/sse"):
            headers["content-type"] = "text/event-stream"
            body = SSE
        elif self.path.startswith("/redirect"):
            status = 302
            headers["location"] = "/target"
        elif self.path.startswith("/away"):
            status = 307
            headers["location"] = self.server.away
        elif self.path.startswith("/cut"):
            headers["content-encoding"] = "gzip"
            body = gzip.compress(body)[:-9]
        self._send(status, headers, body)

    do_GET = do_POST = do_PUT = _answer  # noqa: N815 - http.server looks for these names

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        lines = [f"HTTP/1.1 {status} Said So", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += ["Set-Cookie: session=secret", "X-Request-Id: r-1", "X-Internal: yes"]
        # one write: two would meet Nagle's algorithm and the other side's delayed acknowledgement
        self.wfile.write("\r\n".join([*lines, "", ""]).encode() + body)


@contextmanager
def origin() -> Iterator[Origin]:
    """Serve until the context ends."""
    server = Origin()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
