"""`llmbatch`: read the flags, do what they say, print, and return the exit code."""

from __future__ import annotations

import errno
import importlib
import os
import re
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path

from llmbatch.cli.arguments import build_parser
from llmbatch.errors import DiskError, ExitCode, LlmbatchError, TaskError

_NAMED_LIKE_A_KEY = re.compile(r"KEY|TOKEN|SECRET|PASSWORD", re.IGNORECASE)

_OUTPUT_REFUSED = (errno.ENOSPC, errno.EFBIG, errno.EIO, getattr(errno, "EDQUOT", errno.ENOSPC))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; every error of ours is printed as it reads best."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # Windows consoles and pipes may not be UTF-8
            stream.reconfigure(errors="backslashreplace")
    try:
        return _leave(int(_run(list(sys.argv[1:] if arguments is None else arguments))))
    except LlmbatchError as error:
        _say(error.report())
        return int(error.exit_code)
    except KeyboardInterrupt:
        _say("interrupted")
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # the reader of our output has gone, as in `llmbatch exp ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.FINE)
    except Exception as error:  # noqa: BLE001 - whatever else gets here is our bug, and says so
        if isinstance(error, OSError) and error.errno in _OUTPUT_REFUSED and error.filename is None:
            _say(DiskError(f"the output cannot be written: {error.strerror}", fix="free space where it goes").report())
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left of it has no place
            return int(ExitCode.DISK)
        _say(traceback.format_exc() + "\nThis is a bug of llmbatch. Nothing that was recorded is lost.")
        return int(ExitCode.OUR_BUG)


def _leave(code: int) -> int:
    """Write out what was printed and return the code.

    After Ctrl-C end here if sync tasks hang, whose threads Python would wait for.
    """
    sys.stdout.flush()  # here a disk or a reader that is gone can still be told
    if code == ExitCode.INTERRUPTED:
        from llmbatch.invocation.work import TASK_THREADS  # noqa: PLC0415 - loaded by then

        if any(thread.name.startswith(TASK_THREADS) for thread in threading.enumerate()):
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return code


def _run(arguments: list[str]) -> int:
    parser = build_parser()
    options, rest = parser.parse_known_args(arguments)
    if options.command == "exp":  # files may stand among the flags
        options.targets += [word for word in rest if not word.startswith("-")]
        rest = [word for word in rest if word.startswith("-")]
    late = getattr(options, "late", None)  # what may stand behind flags, where argparse no longer looks for it
    if late is not None and getattr(options, late) is None and rest and not rest[0].startswith("-"):
        setattr(options, late, rest.pop(0))
    if rest:
        parser.used(options).error(f"unrecognized arguments: {' '.join(rest)}")
    if options.version:
        from importlib.metadata import version  # noqa: PLC0415 - it reads the disk, and few ask

        print(f"llmbatch {version('llmbatch')}")
        return ExitCode.FINE
    match options.command:
        case "exp":
            from llmbatch.cli.exp import run_exp  # noqa: PLC0415 - `--help` should not load a run
            from llmbatch.runner.loop import run_in_loop  # noqa: PLC0415 - as above

            given = {name: value for name, value in vars(options).items() if name != "command"}
            try:
                return run_in_loop(run_exp(given, os.environ))
            except SystemExit as error:  # of a branch that a task started: it ends the event loop at once
                raise TaskError(
                    f"a task called exit({error.code!r}) in a branch of its own, which ended the run",
                    fix="raise an exception there; the same command goes on where it stopped",
                ) from error
        case "new":
            return _new(options.name, Path(options.into))
        case "cassette" | "runs" | "doctor":
            command = importlib.import_module(f"llmbatch.cli.{options.command}")  # as above
            return int(command.run(options))
        case _:
            parser.print_help()
            return ExitCode.USAGE


def _new(name: str, folder: Path) -> int:
    from llmbatch.config import load_config  # noqa: PLC0415 - as above
    from llmbatch.scaffold import create_experiment  # noqa: PLC0415 - as above

    for path in create_experiment(name, folder):
        print(f"wrote {path}")
    if "local" not in load_config(folder, os.environ).endpoints:
        print('add   the endpoint that it asks to your configuration: [endpoints.local] with base_url = "http://..."')
    print(f"next  llmbatch exp {folder / 'experiments' / name}.py")
    return ExitCode.FINE


def _say(text: str) -> None:
    """Print to standard error, without the value of any variable that is named like a key: texts get pasted."""
    from llmbatch.cassette.scrub import Scrubber  # noqa: PLC0415 - only what failed says something here

    secrets = [value for name, value in os.environ.items() if _NAMED_LIKE_A_KEY.search(name)]
    print(Scrubber(secrets=secrets).text(text), file=sys.stderr)
