"""Ctrl-C reaches a run also where something else has put a handler before Python's."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import os, signal, threading
import polars
from llmbatch.invocation.interrupt import waits_end_at_ctrl_c

waits_end_at_ctrl_c()
held = threading.Lock()
held.acquire()
threading.Thread(target=lambda: os.kill(os.getpid(), signal.SIGINT), daemon=True).start()
held.acquire()
"""


@pytest.mark.system
@pytest.mark.skipif(not hasattr(signal, "siginterrupt"), reason="handlers of this kind are POSIX")
def test_a_wait_for_a_lock_ends_at_ctrl_c_although_polars_was_imported() -> None:
    """Its handler lets waits go on: the end of a run that waits for its disk would hear nothing."""
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, encoding="utf-8", timeout=30, check=False
    )

    assert "KeyboardInterrupt" in finished.stderr
