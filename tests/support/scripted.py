"""A model service of one test: what it says is a function that the test gives; what it was asked is kept.

Runs in a thread. A reply that is bytes goes out as an event stream, a mapping as JSON, an int is a status.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

Reply = Mapping[str, Any] | bytes | int
Script = Callable[[str, dict[str, Any]], Reply]


class ScriptedModel(ThreadingHTTPServer):
    """Answers by `script(path, body)`; `asked` are the bodies in the order in which they came, with their paths."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, script: Script) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script = script
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    @property
    def base_url(self) -> str:
        """The address as a configuration has it."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def bodies(self, path: str = "/v1/chat/completions") -> list[dict[str, Any]]:
        """Return what was asked at one address."""
        return [body for at, body in self.asked if at == path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ScriptedModel

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing."""

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers.get("content-length") or 0))
        body = json.loads(sent) if sent.startswith(b"{") else {"bytes": len(sent)}
        self.server.asked.append((self.path, body))
        reply = self.server.script(self.path, body)
        status = reply if isinstance(reply, int) else 200
        kind = "text/event-stream" if isinstance(reply, bytes) else "application/json"
        if isinstance(reply, int):
            reply = {"error": {"message": f"the script says {reply}", "type": "error", "code": None}}
        payload = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
        head = f"HTTP/1.1 {status} Said\r\nContent-Type: {kind}\r\nContent-Length: {len(payload)}\r\n\r\n"
        self.wfile.write(head.encode() + payload)  # one write: two would wait for an acknowledgement


def said(content: str | None, *, finish: str = "stop", model: str = "scripted", **message: Any) -> dict[str, Any]:
    """Return a completion that says a text."""
    return {
        "id": "c",
        "object": "chat.completion",
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content, **message},
                "finish_reason": finish,
            }
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12},
    }


def calling(*calls: tuple[str, Any], **message: Any) -> dict[str, Any]:
    """Return a completion that calls functions: each a name, and arguments (text as it is, else as JSON)."""
    written = [
        {
            "id": f"id-{name}-{number}",
            "type": "function",
            "function": {"name": name, "arguments": given if isinstance(given, str) else json.dumps(given)},
        }
        for number, (name, given) in enumerate(calls)
    ]
    return said(None, finish="tool_calls", tool_calls=written, **message)
