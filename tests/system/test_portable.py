"""The main path runs where POSIX-only modules and signal handlers of the loop do not exist, as on Windows.

The standard library and third-party packages import fcntl and the like where they find them, and do without
elsewhere. So an import is refused only when a file of llmbatch asks for it: the meta path has no caller, so the
builtin `__import__` is wrapped and looks at who called.
"""

from __future__ import annotations

import pytest

from tests.support.fault_server import FaultServer
from tests.support.project import Project, commits

pytestmark = pytest.mark.system

SITE = """
import asyncio
import builtins

POSIX_ONLY = {"fcntl", "resource", "termios", "tty", "pty", "pwd", "grp", "uvloop", "readline", "syslog"}
real = builtins.__import__

def guarded(name, globals=None, locals=None, fromlist=(), level=0):
    asker = (globals or {}).get("__name__", "")
    if name.partition(".")[0] in POSIX_ONLY and asker.partition(".")[0] == "llmbatch":
        raise ImportError(f"{asker} imports {name}, which is POSIX-only")
    return real(name, globals, locals, fromlist, level)

builtins.__import__ = guarded

def refuse(*arguments):
    raise NotImplementedError("as on Windows")

asyncio.AbstractEventLoop.add_signal_handler = refuse
asyncio.SelectorEventLoop.add_signal_handler = refuse
print("the guard is on", file=__import__("sys").stderr)
"""


def test_the_main_path_needs_no_posix(project: Project, server: FaultServer) -> None:
    """A live run and its replay, with every POSIX-only module refused to our own code."""
    site = project.root / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITE, encoding="utf-8")
    project.environ["PYTHONPATH"] = str(site)
    project.write_samples(commits(3))
    live, replay = project.exp(), project.exp("--offline")

    assert (live.code, replay.code) == (0, 0), live.err
    assert "the guard is on" in live.err
    assert "6 paid" in live.err
    assert "6 from the cassette" in replay.err
