"""A scripted service on 127.0.0.1, in threads of this process, that collects what is wrong with what it is asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from llmbatch.config import StructuredMode
from tests.support.dialects.dialect import Dialect, Said
from tests.support.dialects.heard import Heard, heard


class Service:
    """Serves a dialect; a context manager. `mode` is the one that questions are expected in.

    `complaints` is what was wrong, `heard` all requests in the order in which they came.
    """

    def __init__(self, dialect: Dialect, mode: StructuredMode | None = None) -> None:
        self.dialect = dialect
        self.mode: StructuredMode = mode or dialect.mode
        self.complaints: list[str] = []
        self.heard: list[Heard] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def questions(self) -> list[Heard]:
        """The requests that belong to a sample."""
        return [each for each in self.heard if each.script is not None]

    def reply_to(self, request: Heard) -> Said:
        """Note a request, and return what the service says to it."""
        if (request.method, request.path) == ("GET", f"{self.dialect.base_path}/models"):
            models = {"object": "list", "data": [{"id": self.dialect.model, "object": "model"}]}
            is_addressed = self.dialect.is_addressed(request)
            return Said(200, models) if is_addressed else self.dialect.unauthorized()
        wrong = self.dialect.complaints(request, self.mode)
        self.heard.append(request)
        self.complaints.extend(wrong)
        if request.path != self.dialect.path() or request.query != self.dialect.query:
            return self.dialect.error(404, "Not Found")
        if not self.dialect.is_addressed(request):
            return self.dialect.unauthorized()
        return self.dialect.answer(request)

    def __enter__(self) -> Service:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


@contextmanager
def serving(dialect: Dialect, mode: StructuredMode | None = None) -> Iterator[Service]:
    """Serve a dialect, and fail where it had to complain of what it was asked."""
    with Service(dialect, mode) as service:
        yield service
    assert [] == service.complaints


def _handler_of(service: Service) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            payload = self.rfile.read(int(self.headers.get("content-length") or 0))
            self._say(service.reply_to(heard(self.command, self.path, dict(self.headers.items()), payload)))

        def do_GET(self) -> None:
            self.do_POST()

        def _say(self, said: Said) -> None:
            payload = said.payload
            self.send_response(said.status)
            self.send_header("content-type", said.content_type)
            self.send_header("content-length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class has that name
            """Nothing: tests read `complaints`."""

    return Handler
