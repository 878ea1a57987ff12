"""Run the server: `python -m tests.support.fault_server --port 0` prints its port as the first line."""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
import threading
from typing import Any

from aiohttp import web

import tests.support.fault_server as described
from tests.support.fault_server.server import Server

LARGEST_BODY_BYTES = 64 * 1024 * 1024


async def _run(options: argparse.Namespace) -> None:
    server = Server(
        latency_ms=options.latency_ms,
        require_key=options.require_key,
        seed=options.seed,
        chaos=options.chaos,
        hangs=options.hangs,
        bears=options.bears,
    )
    loop = asyncio.get_running_loop()

    def as_request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=LARGEST_BODY_BYTES)

    runner = web.ServerRunner(web.Server(server.handle, request_factory=as_request, access_log=None))
    await runner.setup()
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if os.name == "posix":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", options.port))
    await web.SockSite(runner, listener, backlog=4096).start()
    print(listener.getsockname()[1], flush=True)
    await asyncio.Event().wait()


def _leave_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=described.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=0, help="0: any free port, printed as the first line")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="mean of a seeded delay of 50 to 150 per cent")
    parser.add_argument("--require-key", help="answer 401 to any other bearer token")
    parser.add_argument("--seed", default="0", help="another seed, other answers")
    parser.add_argument("--chaos", type=float, default=0.0, help="the share of attempts that meet a seeded fault")
    parser.add_argument("--hangs", action="store_true", help="silence is one of them")
    parser.add_argument("--bears", type=int, help="refuse with 429 what comes beside so many calls in flight")
    parser.add_argument("--leave-with-stdin", action="store_true", help="end when standard input ends")
    options = parser.parse_args(arguments)
    if options.leave_with_stdin:
        threading.Thread(target=_leave_with_parent, daemon=True).start()
    try:
        asyncio.run(_run(options))
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
