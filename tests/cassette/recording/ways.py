"""Ways to a port of this host by a plain socket."""

from __future__ import annotations

import socket


def connect(port: int) -> None:
    with socket.socket() as sock:
        sock.connect(("127.0.0.1", port))


def connect_ex(port: int) -> None:
    with socket.socket() as sock:
        sock.connect_ex(("127.0.0.1", port))


def sendto(port: int) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", ("127.0.0.1", port))
