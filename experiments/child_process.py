"""Run a script in a child process that can do little harm: for code that a model wrote.

The child has an empty environment, a temporary folder and a time limit, after which it is killed with its group. It is
the script that bounds its own memory and refuses the network (see mutation_child.py), before it runs what it is given.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

FLAGS = ("-s", "-P", "-S", "-B")  # as -I, but for -E: the environment is ours, and says how strings are hashed
REPLY_BYTES = 1 << 20


def run_in_child(script: Path, given: object, *, seconds: float = 60) -> Any:
    """Return what the script wrote to standard output, from JSON to JSON; None if a limit or a crash ended it.

    The time is generous, since a machine may be busy: what should end a script early is counted by the script.
    """
    needed = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}  # by Windows, to start at all
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        written = Path(folder, "reply.json")
        with written.open("wb") as reply:
            child = subprocess.Popen(  # noqa: S603 - the interpreter that runs this, and a script beside it
                [sys.executable, *FLAGS, str(script)],
                stdin=subprocess.PIPE,
                stdout=reply,
                stderr=subprocess.DEVNULL,
                cwd=folder,
                env={"PYTHONHASHSEED": "0", **needed},
                start_new_session=True,
            )
            try:
                child.communicate(json.dumps(given).encode(), timeout=seconds)
            except subprocess.TimeoutExpired:
                return None
            finally:
                end(child)
        said = written.read_bytes()[:REPLY_BYTES]
    return json.loads(said) if said and child.returncode == 0 else None


def end(child: subprocess.Popen[bytes]) -> None:
    """Kill a child that has not ended, with all that it started."""
    if child.poll() is not None:
        return
    if sys.platform == "win32":
        child.kill()
    else:
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
