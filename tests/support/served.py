"""Fixtures of a fault server that the tests of one file share; a folder's conftest imports them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.fault_server import FaultServer


@pytest.fixture(scope="module")
def running() -> Iterator[FaultServer]:
    """A server for the tests of one file."""
    with FaultServer() as server:
        yield server


@pytest.fixture
def server(running: FaultServer) -> FaultServer:
    """That server, its counters at nought; started again where the test before has stopped it."""
    if not running.running:
        running.start()
    running.reset()
    return running
