"""`llmbatch cassette scrub`: write a cassette anew without given secrets, for sharing it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from llmbatch.cli.cassette.outcome import merged_lines, print_conflict
from llmbatch.cli.cassette.place import CASSETTE_HELP, folder_of
from llmbatch.errors import ExitCode
from llmbatch.report.counting import counted
from llmbatch.report.safe import safe


def add(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("cassette", metavar="CASSETTE", help=CASSETTE_HELP)
    parser.add_argument(
        "--secret-variable",
        action="append",
        default=[],
        metavar="NAME",
        help="the environment variable that holds the secret (may repeat)",
    )
    parser.add_argument(
        "--pattern", action="append", default=[], metavar="REGEX", help="what else to replace (may repeat)"
    )
    parser.add_argument("--into", required=True, metavar="FOLDER", help="the new cassette; must not be there yet")


def run(options: argparse.Namespace) -> int:
    """Print each conflict, what was replaced, and the new cassette with its digest."""
    from llmbatch.cassette.upkeep.remaking.merge import merge  # noqa: PLC0415 - `--help` should not load it
    from llmbatch.cassette.upkeep.remaking.scrubbing import scrubbing_of  # noqa: PLC0415 - as above

    scrubbing = scrubbing_of(options.secret_variable, options.pattern, os.environ)
    target = Path(options.into)
    merged = merge([folder_of(options.cassette)], target, print_conflict, rewriting=scrubbing)
    for line in merged_lines(merged, target):
        print(safe(line))
    places = counted(scrubbing.places, "place was", "places were")
    print(f"{places} replaced, in {counted(scrubbing.lines, 'line')}")
    return ExitCode.FINE
