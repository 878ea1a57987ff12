"""`llmbatch doctor`: check that llmbatch holds its promises on this machine, and on a cassette."""

from __future__ import annotations

import argparse

from llmbatch.cli.cassette.place import CASSETTE_HELP, folder_of
from llmbatch.errors import ExitCode
from llmbatch.report.safe import safe


def add(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--cassette", metavar="CASSETTE", help=f"examine the keys of this too: {CASSETTE_HELP}")


def run(options: argparse.Namespace) -> int:
    """Print a line a check, and one for each problem; return the first exit code that is not 0."""
    from llmbatch.doctor.examination import examine  # noqa: PLC0415 - `--help` should not load it

    code = ExitCode.FINE
    for finding in examine(None if options.cassette is None else folder_of(options.cassette)):
        print(f"{'ok' if finding.ok else 'FAILED':<6}  {finding.check:<13}  {safe(finding.what)}")
        for problem in finding.problems:
            print(f"        {safe(problem)}")
        if not finding.ok:
            code = code or finding.exit_code
    if code == ExitCode.OUR_BUG:
        print("This is a bug of llmbatch: please report it with all of the above.")
    return code
