"""`llmbatch cassette stats`: what a cassette holds, in numbers: models, variants, dates, tokens, failures."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmbatch.cli.cassette.place import CASSETTE_HELP, folder_of
from llmbatch.errors import ExitCode

if TYPE_CHECKING:
    from llmbatch.call.values import Reply
    from llmbatch.cassette.upkeep.looking.statistics import Spent, Statistics, Used


def add(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("cassette", metavar="CASSETTE", help=CASSETTE_HELP)
    parser.add_argument("--json", action="store_true", help="print one JSON object, for machines")


def run(options: argparse.Namespace) -> int:
    """Print the statistics and return 0."""
    from llmbatch.cassette.upkeep.looking.statistics import statistics_of  # noqa: PLC0415 - `--help` should not load it
    from llmbatch.report.page import print_page  # noqa: PLC0415 - as above
    from llmbatch.report.statistics import grids_of_statistics, overview_of  # noqa: PLC0415 - as above
    from llmbatch.report.terminal import print_grids  # noqa: PLC0415 - as above

    folder = folder_of(options.cassette)
    found = statistics_of(folder, _spent)
    if options.json:
        print(json.dumps(_as_json(folder, found), indent=2))
    else:
        print_page(overview_of(folder.as_posix(), found))
        print()
        print_grids(grids_of_statistics(found))
    return ExitCode.FINE


def _spent(reply: Reply, prices: Mapping[str, Any] | None) -> Spent | None:
    from llmbatch.cassette.upkeep.looking.statistics import Spent  # noqa: PLC0415 - as above
    from llmbatch.config import ModelSettings  # noqa: PLC0415 - as above
    from llmbatch.money.cost import cost_usd  # noqa: PLC0415 - as above
    from llmbatch.parse.completion import usage_of  # noqa: PLC0415 - as above

    usage = usage_of(reply.body)
    if usage is None:
        return None
    cost = None if prices is None else cost_usd(usage, ModelSettings(""), prices)
    return Spent(usage.tokens_in, usage.tokens_out, cost)


def _as_json(folder: Path, found: Statistics) -> dict[str, Any]:
    """Return all counts with names that say what they are; numbers are not rounded."""
    return {
        "cassette": folder.as_posix(),
        "interactions": found.answering,
        "lines": found.lines,
        "bytes": found.bytes,
        "files": found.files,
        "first_recorded_at": found.first or None,
        "last_recorded_at": found.last or None,
        "total": _used(found.total),
        "endpoints": found.endpoints,
        "models": [{**model._asdict(), **_used(used)} for model, used in found.models.items()],
        "variants": {title: _used(used) for title, used in found.variants.items()},
        "statuses": {str(status): n for status, n in sorted(found.statuses.items())},
        "generations": {str(number): n for number, n in sorted(found.generations.items())},
        "complete_generations": list(found.complete_generations),
        "failures": found.failures,
        "duplicates": found.duplicates,
        "unserved": _used(found.unserved),
    }


def _used(used: Used) -> dict[str, Any]:
    """Return the counts; a cost of which nothing is known is null."""
    known = used.unpriced < used.interactions
    return {**asdict(used), "cost_usd": used.cost_usd if known else None}
