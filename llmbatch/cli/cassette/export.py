"""`llmbatch cassette export`: write the interactions as one file: stock vcrpy's YAML, JSON lines or Parquet."""

from __future__ import annotations

import argparse
from pathlib import Path

from llmbatch.cli.cassette.place import CASSETTE_HELP, folder_of
from llmbatch.errors import ExitCode, UsageError
from llmbatch.report.counting import counted
from llmbatch.report.safe import safe


def add(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("cassette", metavar="CASSETTE", help=CASSETTE_HELP)
    parser.add_argument("--to", metavar="FILE", required=True, help="the file to write")
    parser.add_argument("--format", choices=["vcr", "jsonl", "parquet"], help="default: by the suffix of the file")
    parser.add_argument("--failures", action="store_true", help="also the last failed attempt of each call")
    parser.add_argument("--force", action="store_true", help="overwrite the file")


def run(options: argparse.Namespace) -> int:
    """Write the file and say how much is in it."""
    from llmbatch.cassette.store import Store  # noqa: PLC0415 - `--help` should not load it
    from llmbatch.cassette.upkeep.exchange.exporting import FORMAT_OF_SUFFIX, export  # noqa: PLC0415 - as above

    target = Path(options.to)
    form = options.format or FORMAT_OF_SUFFIX.get(target.suffix.lower())
    if form is None:
        raise UsageError(f"{target} does not say in which format", fix="add --format vcr, jsonl or parquet")
    with Store(folder_of(options.cassette)) as store:
        number = export(store, target, form, failures=options.failures, force=options.force)
    print(safe(f"wrote {target}: {counted(number, 'interaction')}"))
    return ExitCode.FINE
