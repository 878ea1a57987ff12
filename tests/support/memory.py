"""The most memory that a process of its own has taken, asked of Linux.

`ru_maxrss` is no use: a child begins with that of the process that started it, which is pytest's.
"""

from __future__ import annotations

from pathlib import Path

import pytest

STATUS = Path("/proc/self/status")

PEAK_MIB = """
def peak_mib():
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) // 1024
"""
"""The text of a function for the start of a child's program."""

needs_peak_memory = pytest.mark.skipif(not STATUS.exists(), reason="the peak of a process is asked of Linux")
