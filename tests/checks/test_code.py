"""The tools that read the code: lint, format, strict types, and which room may import which."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

COMMANDS = {
    "lint": [sys.executable, "-m", "ruff", "check", "."],
    "format": [sys.executable, "-m", "ruff", "format", "--check", "."],
    "types": [sys.executable, "-m", "mypy"],
    "imports": [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_whole_repository_passes(name: str) -> None:
    """One command checks everything: these run as tests, so that pytest alone says whether a change may land."""
    finished = subprocess.run(COMMANDS[name], cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False)

    assert finished.returncode == 0, finished.stdout + finished.stderr
