"""`llmbatch cassette verify`: check every byte and every key of a cassette, and print its content digest."""

from __future__ import annotations

import argparse

from llmbatch.cli.cassette.place import CASSETTE_HELP, folder_of
from llmbatch.errors import ExitCode
from llmbatch.report.safe import safe


def add(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("cassette", metavar="CASSETTE", help=CASSETTE_HELP)


def run(options: argparse.Namespace) -> int:
    """Print each problem, or the digest; return 0 when there is none."""
    from llmbatch.cassette.store import Store  # noqa: PLC0415 - `--help` should not load it
    from llmbatch.cassette.verify import problems_of  # noqa: PLC0415 - as above

    folder = folder_of(options.cassette)
    problems = list(problems_of(folder))
    for problem in problems:
        print(safe(problem))
    if problems:
        return ExitCode.NO_ANSWER
    with Store(folder) as store:
        print(f"{len(store):,} interactions, content digest {store.content_digest()}")
    return ExitCode.FINE
