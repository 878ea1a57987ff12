"""The server as a process of its own, for tests: it outlives a killed client and counts on."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

_ROOT = Path(__file__).resolve().parents[3]


class FaultServer:
    """Starts the server and stops it; a context manager. Ends with this process however that ends.

    `base_url` is for an endpoint, `url` for other routes. The counters are asked for over a bare socket, so that
    no HTTP patch of the test at hand sees it.
    """

    def __init__(
        self,
        *,
        latency_ms: float = 0.0,
        require_key: str | None = None,
        seed: str = "0",
        port: int = 0,
        chaos: float = 0.0,
        hangs: bool = False,
        bears: int | None = None,
    ) -> None:
        self._command = [sys.executable, "-m", "tests.support.fault_server", "--leave-with-stdin"]
        self._command += ["--port", str(port), "--latency-ms", str(latency_ms), "--seed", seed]
        if require_key is not None:
            self._command += ["--require-key", require_key]
        if chaos:
            self._command += ["--chaos", str(chaos), *(["--hangs"] if hangs else [])]
        if bears is not None:
            self._command += ["--bears", str(bears)]
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._process is not None

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def start(self) -> FaultServer:
        self._process = subprocess.Popen(self._command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.strip().isdigit():
            self.stop()
            msg = "the fault server did not start"
            raise RuntimeError(msg)
        self.port = int(line)
        return self

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def truth(self) -> dict[str, Any]:
        """Return the server's counters."""
        found: dict[str, Any] = orjson.loads(self._ask("GET", "/_truth"))
        return found

    def end(self) -> dict[str, Any]:
        """Let the server die in the middle of its work, and return its last counters."""
        found: dict[str, Any] = orjson.loads(self._ask("POST", "/_end"))
        self.stop()
        return found

    def reset(self) -> None:
        """Set all counters to nought."""
        self._ask("POST", "/_reset")

    def _ask(self, method: str, path: str) -> bytes:
        request = f"{method} {path} HTTP/1.0\r\nhost: 127.0.0.1\r\ncontent-length: 0\r\n\r\n".encode()
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(request)
            received = b"".join(iter(lambda: connection.recv(65_536), b""))
        return received.partition(b"\r\n\r\n")[2]

    def __enter__(self) -> FaultServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
