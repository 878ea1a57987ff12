"""A fault server, and a cassette that records what is sent to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from llmbatch.cassette.recording.recorder import recording
from llmbatch.cassette.store import Store
from tests.support.served import running, server

__all__ = ["running", "server", "store"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An open cassette, its recorder entered."""
    with Store(tmp_path / "tape", record_mode="new_episodes") as store, recording(store):
        yield store
