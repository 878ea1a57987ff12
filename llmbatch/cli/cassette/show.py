"""`llmbatch cassette show`: one interaction, or all of one case, or what tells two of them apart."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from llmbatch.cli.cassette.place import CASSETTE_HELP, folder_of
from llmbatch.errors import ExitCode
from llmbatch.report.safe import safe

if TYPE_CHECKING:
    from llmbatch.cassette.upkeep.looking.finding import Found
    from llmbatch.cassette.upkeep.walk import RecordedLine
    from llmbatch.report.page import Part

_WANTED = "a key or its first digits (4 or more), a case id, or a part of one that no other has"


def add(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("cassette", metavar="CASSETTE", help=CASSETTE_HELP)
    parser.add_argument("wanted", metavar="KEY|CASE", help=_WANTED)
    parser.add_argument("other", metavar="OTHER", nargs="?", help="show what tells this one from the first")
    parser.set_defaults(late="other")
    parser.add_argument("--raw", action="store_true", help="print the recorded lines as JSON, one a line")


def run(options: argparse.Namespace) -> int:
    """Print what was found and return 0. Raises UsageError when nothing, or more than one thing, is meant."""
    from llmbatch.cassette.upkeep.looking.finding import find  # noqa: PLC0415 - `--help` should not load it
    from llmbatch.report.page import print_page  # noqa: PLC0415 - as above

    folder = folder_of(options.cassette)
    found = [find(folder, wanted) for wanted in (options.wanted, options.other) if wanted is not None]
    if options.raw:
        for line in (line for each in found for line in each.lines):
            print(safe(line.text[2 : line.text.rindex(b" # crc32=")].decode()))
    elif len(found) == 2:
        print_page(_difference(folder, *found))
    else:
        print_page(_pages(folder, found[0]))
    return ExitCode.FINE


def _pages(folder: Path, found: Found) -> Iterator[Part]:
    from llmbatch.cassette.upkeep.looking.finding import MOST_LINES  # noqa: PLC0415 - as above
    from llmbatch.cassette.upkeep.walk import decoded  # noqa: PLC0415 - as above
    from llmbatch.report.interaction import page_of  # noqa: PLC0415 - as above
    from llmbatch.report.page import Heading  # noqa: PLC0415 - as above

    answering = _answering(folder, found.answers)
    for line in found.lines:
        yield from page_of(line, decoded(folder, line), answers=line in answering)
    if len(found.lines) >= MOST_LINES:
        yield Heading(f"the first {MOST_LINES} lines are shown; name a key to see another")


def _answering(folder: Path, lines: list[RecordedLine]) -> list[RecordedLine]:
    """Return those lines that a replay answers from."""
    from llmbatch.cassette.segment import complete_generations_of  # noqa: PLC0415 - as above

    complete = complete_generations_of(folder)
    best: dict[bytes, RecordedLine] = {}
    for line in lines:
        before = best.get(line.key)
        if line.generation in complete and (before is None or _outdoes(line, before)):
            best[line.key] = line
    return list(best.values())


def _outdoes(line: RecordedLine, other: RecordedLine) -> bool:
    return (-line.generation, line.text) < (-other.generation, other.text)


def _difference(folder: Path, one: Found, other: Found) -> Iterator[Part]:
    """Compare the interactions of the two in their order; mostly there is one of each."""
    from llmbatch.cassette.upkeep.looking.compare import differences, reply_differences  # noqa: PLC0415 - as above
    from llmbatch.cassette.upkeep.walk import decoded  # noqa: PLC0415 - as above
    from llmbatch.report.interaction import difference_page  # noqa: PLC0415 - as above
    from llmbatch.report.page import Heading  # noqa: PLC0415 - as above

    for left, right in zip(one.lines, other.lines, strict=False):
        before, after = decoded(folder, left), decoded(folder, right)
        found = [*differences(before.call, after.call)]
        if before.reply is not None and after.reply is not None:
            found += reply_differences(before.reply, after.reply)
        names = (f"{whole.call.key.hex()} ({whole.case})" for whole in (before, after))
        yield from difference_page(found, *names)
    if len(one.lines) != len(other.lines):
        yield Heading(f"the first has {len(one.lines)} interactions and the other {len(other.lines)}")
