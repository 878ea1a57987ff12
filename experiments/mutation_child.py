"""The judge's half that runs in a child process: which mutants of a function do these calls tell from it?

Reads `{"name", "versions", "script"}` as JSON from standard input; `versions` are sources of the function, the right
one first. Writes `{"parsed", "calls", "killed"}` to standard output. A mutant is killed when a call returns or raises
something else there. Operations of Python are counted, not seconds, so that an endless loop ends in the same way on
any machine. This keeps accidents away from the machine; against malice, put a container around it.
"""

import ast
import io
import json
import os
import random
import re
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

STEPS = 100_000
WRITTEN = "<what is judged>"
CPU_SECONDS = 10
MEMORY_BYTES = 1 << 30
REFUSED = ("ctypes.", "os.", "pty.", "shutil.", "signal.", "socket.", "subprocess.", "syslog.", "tempfile.", "winreg.")
NEEDED_TO_IMPORT = ("os.listdir", "os.scandir")


class OutOfSteps(BaseException):
    """No `except Exception` of the code that runs here may catch it."""


def limit_resources() -> None:
    """Bound processor time, memory and the size of files, where the system can."""
    try:
        import resource  # noqa: PLC0415 - POSIX only
    except ImportError:
        return
    limits = {"RLIMIT_CPU": CPU_SECONDS, "RLIMIT_AS": MEMORY_BYTES, "RLIMIT_FSIZE": 1 << 20, "RLIMIT_CORE": 0}
    for name, limit in limits.items():
        try:
            resource.setrlimit(getattr(resource, name), (limit, limit))
        except (AttributeError, OSError, ValueError):  # not every system bounds everything
            continue


def refuse(event: str, details: tuple[Any, ...]) -> None:
    """Let an audited event of the interpreter pass, or raise: no network, no processes, no files but to read."""
    writes = event == "open" and bool((details[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    if writes or (event.startswith(REFUSED) and event not in NEEDED_TO_IMPORT):
        raise PermissionError(event)


def outcomes(name: str, source: str, script: list[ast.stmt]) -> list[str]:
    """Run the statements one by one, and return what each call of the function brought."""
    seen: list[str] = []
    steps = {"script": 0, "call": 0}  # apart, so that a loop of the script is as long with any mutant
    where = "script"

    def count(frame: FrameType, _event: str, _argument: object) -> Callable[..., Any] | None:
        if frame.f_code.co_filename != WRITTEN:
            return None  # an import takes more steps than any call; for what a library does there are seconds
        frame.f_trace_opcodes = True  # a loop on one line has no lines to count
        steps[where] += 1
        if steps[where] > STEPS:
            raise OutOfSteps
        return count

    def watched(*arguments: Any, **named: Any) -> Any:
        nonlocal where
        where, steps["call"] = "call", 0
        try:
            value = function(*arguments, **named)
            seen.append(re.sub(r"0x[0-9a-fA-F]+", "0x", repr(value)))  # an address is no result
        except (Exception, OutOfSteps) as error:
            seen.append(type(error).__name__)
            raise
        finally:
            where = "script"
        return value

    random.seed(0)
    space: dict[str, Any] = {"__name__": "calls"}
    exec(compile(source, WRITTEN, "exec"), space)  # noqa: S102 - what this process is for
    function, space[name] = space[name], watched
    for statement in script:
        sys.settrace(count)
        try:
            exec(compile(ast.Module([statement], []), WRITTEN, "exec"), space)  # noqa: S102 - likewise
        except OutOfSteps:
            break
        except (Exception, SystemExit):  # noqa: BLE001, S110 - whatever a statement raises, the next one counts
            pass
        finally:
            sys.settrace(None)
    return seen


def differ(right: list[str], other: list[str]) -> bool:
    """Say whether a call brought something else. Where a version has run out of steps, there are no further calls."""
    return any(one != another for one, another in zip(right, other, strict=False))


def main() -> None:
    """Judge what standard input holds."""
    given, report = json.load(sys.stdin), sys.stdout
    sys.stdout = sys.stderr = io.StringIO()
    limit_resources()
    sys.addaudithook(refuse)
    try:
        body = ast.parse(given["script"]).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        json.dump({"parsed": False, "calls": 0, "killed": 0}, report)
        return
    # a copy of the function in the answer must not be called in place of the one that is judged
    script = [each for each in body if getattr(each, "name", None) != given["name"]]
    right, *mutants = (outcomes(given["name"], source, script) for source in given["versions"])
    json.dump({"parsed": True, "calls": len(right), "killed": sum(differ(right, mutant) for mutant in mutants)}, report)


if __name__ == "__main__":
    main()
