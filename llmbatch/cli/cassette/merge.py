"""`llmbatch cassette merge`: make one canonical cassette out of several, or put a single one in order."""

from __future__ import annotations

import argparse
from pathlib import Path

from llmbatch.cli.cassette.outcome import merged_lines, print_conflict
from llmbatch.cli.cassette.place import CASSETTE_HELP, folder_of
from llmbatch.errors import ExitCode
from llmbatch.report.safe import safe


def add(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("cassettes", nargs="+", metavar="CASSETTE", help=f"{CASSETTE_HELP}; one or more")
    parser.add_argument("--into", required=True, metavar="FOLDER", help="the new cassette; must not be there yet")


def run(options: argparse.Namespace) -> int:
    """Print each conflict, then each source and the target with its digest."""
    from llmbatch.cassette.upkeep.remaking.merge import merge  # noqa: PLC0415 - `--help` should not load it

    target = Path(options.into)
    merged = merge([folder_of(text) for text in options.cassettes], target, print_conflict)
    for line in merged_lines(merged, target):
        print(safe(line))
    return ExitCode.FINE
