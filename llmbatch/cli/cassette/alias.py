"""`llmbatch cassette alias`: let a cassette's answers hold for another base URL, list or remove such aliases."""

from __future__ import annotations

import argparse

from llmbatch.cli.cassette.place import CASSETTE_HELP, folder_of
from llmbatch.errors import ExitCode, UsageError
from llmbatch.report.safe import safe


def add(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("cassette", metavar="CASSETTE", help=CASSETTE_HELP)
    parser.add_argument("--base-url", metavar="NEW", help="the base URL that requests are made to")
    parser.add_argument("--recorded-as", metavar="OLD", help="the base URL that it stands for, as recorded")
    parser.add_argument("--remove", action="store_true", help="remove the alias of --base-url")


def run(options: argparse.Namespace) -> int:
    """Add or remove one alias, then print all there are. Raises UsageError, CassetteLocked and DiskError."""
    from llmbatch.cassette.aliases import read_aliases  # noqa: PLC0415 - `--help` should not load it
    from llmbatch.cassette.upkeep.alias import add_alias, remove_alias  # noqa: PLC0415 - as above

    folder = folder_of(options.cassette)
    match options.base_url, options.recorded_as, options.remove:
        case None, None, False:
            aliases = read_aliases(folder)
        case str(base_url), str(recorded_as), False:
            aliases = add_alias(folder, base_url, recorded_as)
        case str(base_url), None, True:
            aliases = remove_alias(folder, base_url)
        case _:
            raise UsageError(
                "an alias has two sides",
                fix="give --base-url NEW and --recorded-as OLD; --base-url NEW and --remove; or neither, to list",
            )
    for base_url, recorded_as in aliases.pairs.items():
        print(safe(f"{base_url} is recorded as {recorded_as}"))
    if not aliases.pairs:
        print("no aliases")
    return ExitCode.FINE
