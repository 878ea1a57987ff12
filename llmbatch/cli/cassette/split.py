"""`llmbatch cassette split`: cut a cassette into several, by model, endpoint or task, or by size."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from llmbatch.cli.cassette.outcome import print_conflict, summary_text
from llmbatch.cli.cassette.place import CASSETTE_HELP, folder_of
from llmbatch.errors import ExitCode, UsageError
from llmbatch.report.counting import counted
from llmbatch.report.safe import safe

_UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}


def add(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("cassette", metavar="CASSETTE", help=CASSETTE_HELP)
    parser.add_argument(
        "--into", required=True, metavar="FOLDER", help="the folder of the parts; must not be there yet"
    )
    cut = parser.add_mutually_exclusive_group(required=True)
    cut.add_argument("--by", choices=("model", "endpoint", "task"), help="a part for each of these")
    cut.add_argument("--max-bytes", metavar="N", help="parts of at most N bytes; N may end in kB, MB or GB")


def run(options: argparse.Namespace) -> int:
    """Print each part with its digest."""
    from llmbatch.cassette.upkeep.remaking.split import split  # noqa: PLC0415 - `--help` should not load it

    target = Path(options.into)
    max_bytes = 0 if options.max_bytes is None else bytes_of(options.max_bytes)
    parts = split(folder_of(options.cassette), target, print_conflict, by=options.by, max_bytes=max_bytes)
    for part in parts:
        print(safe(f"{target / part.name}: {summary_text(part.summary)}"))
    print(safe(f"{counted(len(parts), 'part')} in {target}; llmbatch cassette merge makes one of them again"))
    return ExitCode.FINE


def bytes_of(text: str) -> int:
    """Return a number of bytes written as `100000000`, `100MB` or `1.5 GB`. Raises UsageError."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,9})?) ?([kmg]?b)?", text.strip().lower())
    number = 0 if match is None else int(float(match[1]) * _UNITS.get(match[2] or "", 1))
    if number < 1:
        raise UsageError(f"--max-bytes is {text!r}", fix="write a number of bytes, such as 95000000 or 95MB")
    return number
