"""Fixtures that several rooms' tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.fault_server import FaultServer
from tests.support.project import Project

# a shared machine may be slow at any moment, and a test's verdict must not depend on it
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A deterministic model service in a process of its own, which counts what really happened."""
    with FaultServer() as started:
        yield started


@pytest.fixture
def project(tmp_path: Path, server: FaultServer) -> Project:
    """A project whose endpoint is the server."""
    return Project(tmp_path / "project", server.base_url)
