"""`llmbatch cassette import`: take over interactions of stock vcrpy, of OpenAI's Batch API, or of an export."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from llmbatch.cli.cassette.place import CASSETTE_HELP, folder_of
from llmbatch.errors import ExitCode, UsageError
from llmbatch.report.counting import counted
from llmbatch.report.safe import safe

if TYPE_CHECKING:
    from llmbatch.cassette.upkeep.exchange.batch_output import BatchRequests
    from llmbatch.cassette.upkeep.exchange.incoming import Incoming, Unusable

_FORMATS = {".yaml": "vcr", ".yml": "vcr", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_SHOWN = 20


def add(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("files", metavar="FILE", nargs="+", help="what to take over")
    parser.add_argument("--into", metavar="CASSETTE", required=True, help=f"{CASSETTE_HELP}; made if missing")
    parser.add_argument("--format", choices=["vcr", "openai-batch", "jsonl"], help="default: by the files' suffixes")
    parser.add_argument("--requests", metavar="FILE", help="the input file of the batch")
    parser.add_argument("--base-url", metavar="URL", default="https://api.openai.com/v1", help="where the batch ran")
    parser.add_argument(
        "--key-header", metavar="NAME", action="append", default=[], help="a header that enters the key"
    )


def run(options: argparse.Namespace) -> int:
    """File everything and say what became of it; return 1 when something was skipped."""
    from llmbatch.cassette.store import Store  # noqa: PLC0415 - `--help` should not load it
    from llmbatch.cassette.upkeep.exchange.importing import Importer  # noqa: PLC0415 - as above
    from llmbatch.config import load_config  # noqa: PLC0415 - as above

    files = [(Path(name), _format(Path(name), options)) for name in options.files]
    folder = folder_of(options.into, may_be_new=True)
    config = load_config(Path.cwd(), os.environ)
    headers = {name for endpoint in config.endpoints.values() for name in endpoint.headers} | set(options.key_header)
    store = Store(folder, record_mode="new_episodes", secrets=config.secrets(os.environ), key_headers=sorted(headers))
    skipped = _Skipped()
    with ExitStack() as stack:
        requests = _requests(options, stack)
        stack.enter_context(store)
        importer = Importer(store, skipped.add)
        try:
            for path, form in files:
                skipped.file = path.name
                importer.take(_read(path, form, requests))
        finally:
            skipped.print_rest()
            counts = importer.counts
            new = f"{counted(counts.interactions, 'interaction')} and {counted(counts.failures, 'failed attempt')}"
            there = f"{counted(counts.duplicates, 'duplicate')}, {counts.skipped:,} skipped"
            print(safe(f"{folder}: {new} imported, {there}"))
    return ExitCode.NO_ANSWER if counts.skipped else ExitCode.FINE


def _format(path: Path, options: argparse.Namespace) -> str:
    if not path.is_file():
        raise UsageError(f"there is no file {path}", fix="name the files to import, then --into CASSETTE")
    form = options.format or ("openai-batch" if options.requests else _FORMATS.get(path.suffix.lower()))
    if form is None:
        raise UsageError(f"{path} does not say in which format it is", fix="add --format vcr, openai-batch or jsonl")
    if form == "openai-batch" and not options.requests:
        raise UsageError("the output of a batch does not hold what was asked", fix="add --requests INPUT.jsonl")
    return str(form)


def _requests(options: argparse.Namespace, stack: ExitStack) -> BatchRequests | None:
    if not options.requests:
        return None
    from llmbatch.cassette.upkeep.exchange.batch_output import BatchRequests  # noqa: PLC0415 - as above

    path = Path(options.requests)
    if not path.is_file():
        raise UsageError(f"there is no file {path}", fix="give --requests the input file of the batch")
    return stack.enter_context(BatchRequests(path, options.base_url))


def _read(path: Path, form: str, requests: BatchRequests | None) -> Iterator[Incoming | Unusable]:
    from llmbatch.cassette.upkeep.exchange.batch_output import read_batch_output  # noqa: PLC0415 - as above
    from llmbatch.cassette.upkeep.exchange.json_lines import read_json_lines  # noqa: PLC0415 - as above
    from llmbatch.cassette.upkeep.exchange.stock_yaml import read_stock_yaml  # noqa: PLC0415 - as above

    with path.open("rb", buffering=1 << 20) as stream:
        if form == "vcr":
            yield from read_stock_yaml(stream, path.name)
        elif form == "jsonl":
            yield from read_json_lines(stream, path.name)
        else:
            assert requests is not None
            yield from read_batch_output(stream, path.name, requests)


class _Skipped:
    """Prints the first of what was skipped, and counts the rest."""

    def __init__(self) -> None:
        self.file = ""
        self._number = 0

    def add(self, unusable: Unusable) -> None:
        """Print one, with its file and line."""
        self._number += 1
        if self._number <= _SHOWN:
            print(safe(f"{self.file}:{unusable.line}: skipped: {unusable.why}"))

    def print_rest(self) -> None:
        """Say how many were not printed."""
        if self._number > _SHOWN:
            print(f"and {self._number - _SHOWN:,} more skipped")
