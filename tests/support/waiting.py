"""Waiting for what a process of its own has done or said, never for a time to pass."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from threading import Event, Timer
from time import monotonic

LONGEST_SECONDS = 30.0


def until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Return as soon as the condition holds. Fails, and ends the process, when it does not come to that."""
    pause, deadline = Event(), monotonic() + LONGEST_SECONDS
    while not condition():
        if process.poll() is not None or monotonic() > deadline:
            process.kill()
            raise AssertionError(f"it did not come to that (exit {process.returncode}): {process.communicate()}")
        pause.wait(0.005)


def until_said(text: str, process: subprocess.Popen[str]) -> str:
    """Read standard error up to the line that holds the text, and return what was read. Fails as `until` does."""
    assert process.stderr is not None
    timer = Timer(LONGEST_SECONDS, process.kill)
    timer.start()
    try:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if text in line:
                return "".join(lines)
    finally:
        timer.cancel()
    raise AssertionError(f"it never said {text!r}: {''.join(lines)}")
