"""A project beside a scripted service, and the command line run over it in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from llmbatch.config import StructuredMode
from tests.dialects.study import Study, make_study
from tests.support.dialects import KEY, Service
from tests.support.project import KEY_VARIABLE

MakeStudy = Callable[[Service, Sequence[str], StructuredMode | None], Study]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeStudy:
    """Make a study of a service, whose key is in the environment."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    return lambda service, scenes, mode: make_study(tmp_path, service, scenes, mode)
