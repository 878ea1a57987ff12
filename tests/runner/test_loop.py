"""Which event loop a run has."""

from __future__ import annotations

import asyncio
import builtins
from typing import Any

import pytest

from llmbatch.runner.loop import run_in_loop


async def _loop() -> str:
    return type(asyncio.get_running_loop()).__module__


def test_the_loop_is_uvloops_where_it_is_installed() -> None:
    """It makes a call cheaper."""
    pytest.importorskip("uvloop")

    assert run_in_loop(_loop()).startswith("uvloop")


def test_the_loop_is_pythons_where_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is never needed; Windows has none."""
    real = builtins.__import__

    def without(name: str, *arguments: Any) -> Any:
        if name == "uvloop":
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)

    assert run_in_loop(_loop()).startswith("asyncio")
