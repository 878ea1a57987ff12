"""`llmbatch doctor`: check that llmbatch holds its promises here and on a cassette, or that a service answers."""

from __future__ import annotations

import argparse
import asyncio
import os
from pathlib import Path

from llmbatch.cli.cassette.place import CASSETTE_HELP, folder_of
from llmbatch.errors import ExitCode, UsageError
from llmbatch.report.safe import safe


def add(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "endpoint", nargs="?", metavar="ENDPOINT", help="a service instead: its name, name/model, or base URL"
    )
    parser.add_argument(
        "--call",
        action="store_true",
        help="make a small call to the service too, and probe a model that is named; it costs",
    )
    parser.add_argument("--cassette", metavar="CASSETTE", help=f"examine the keys of this too: {CASSETTE_HELP}")


def run(options: argparse.Namespace) -> int:
    """Print a line a check; return the first exit code that is not 0."""
    if options.endpoint is not None:
        if options.cassette is not None:
            raise UsageError("--cassette has nothing to do with a service", fix="leave out one of the two")
        return asyncio.run(_run_service(options.endpoint, call=options.call))
    if options.call:
        raise UsageError("--call is for a service", fix="name it: llmbatch doctor ENDPOINT --call")
    return _run_installation(None if options.cassette is None else folder_of(options.cassette))


def _run_installation(cassette: Path | None) -> int:
    from llmbatch.doctor.examination import examine  # noqa: PLC0415 - `--help` should not load it

    code = ExitCode.FINE
    for finding in examine(cassette):
        print(f"{'ok' if finding.ok else 'FAILED':<6}  {finding.check:<13}  {safe(finding.what)}")
        for problem in finding.problems:
            print(f"        {safe(problem)}")
        if not finding.ok:
            code = code or finding.exit_code
    if code == ExitCode.OUR_BUG:
        print("This is a bug of llmbatch: please report it with all of the above.")
    return code


async def _run_service(named: str, *, call: bool) -> int:
    from llmbatch.doctor.service.examination import examine_service  # noqa: PLC0415 - imports aiohttp
    from llmbatch.doctor.service.subject import subject_of  # noqa: PLC0415 - as above

    code = ExitCode.FINE
    async for step in examine_service(subject_of(named, os.environ, Path.cwd()), call=call):
        fix = f"; fix: {step.fix}" if step.fix else ""
        print(safe(f"{step.state:<6}  {step.name:<10}  {' '.join((step.said + fix).split())}"), flush=True)
        code = code or step.exit_code
    return code
