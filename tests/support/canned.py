"""A server that says the same bytes to whoever connects, whatever is asked: portals, proxies, other protocols."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from types import TracebackType


class Canned:
    """Answers each connection with `said` once something was sent, or at once with `greets`. A context manager."""

    def __init__(self, said: bytes, *, greets: bool = False, tls: ssl.SSLContext | None = None) -> None:
        self._said = said
        self._greets = greets
        self._tls = tls
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._is_over = False
        self._at = self._listening.getsockname()
        self.address = f"127.0.0.1:{self._at[1]}"

    def __enter__(self) -> Canned:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = True
        socket.create_connection(self._at).close()  # wakes the thread on every system
        self._thread.join(10)
        self._listening.close()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listening.accept()
            if self._is_over:
                connection.close()
                return
            with suppress(OSError), connection:
                connection.settimeout(5)
                if self._tls is not None:
                    connection = self._tls.wrap_socket(connection, server_side=True)
                if not self._greets:
                    connection.recv(65_536)
                connection.sendall(self._said)


def http(status: str, body: str, content_type: str = "text/plain", *headers: str) -> bytes:
    """Return a whole HTTP reply, after which the connection ends."""
    lines = [f"HTTP/1.1 {status}", f"content-type: {content_type}", f"content-length: {len(body)}", "connection: close"]
    return "\r\n".join([*lines, *headers, "", body]).encode()
