"""`llmbatch cassette why`: which recorded request is nearest to each call that misses, and what differs."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from llmbatch.cli.cassette.planned import add_run_flags, prepared_of, replay, run_command, shown
from llmbatch.errors import ExitCode, UsageError
from llmbatch.report.counting import counted

if TYPE_CHECKING:
    from pathlib import Path

    from llmbatch.cassette.upkeep.looking.nearest import Missed, Nearest
    from llmbatch.invocation.misses import Misses
    from llmbatch.invocation.prepared import Prepared
    from llmbatch.invocation.watched import Watched
    from llmbatch.report.page import Part

MOST = 1000


def add(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("experiment", metavar="EXPERIMENT_FILE", help="the experiment; ::task[variant] selects of it")
    parser.add_argument("case", metavar="CASE", nargs="?", help="show all that differs for this case, or its sample")
    parser.add_argument("--cassette", metavar="DIR", help="another folder than cassettes/<experiment>")
    parser.add_argument("--limit", type=int, metavar="N", help="the first N samples")
    parser.add_argument("--most", type=int, metavar="N", help=f"misses of each variant to look into (default {MOST})")
    parser.set_defaults(late="case")
    add_run_flags(parser)


def run(options: argparse.Namespace) -> int:
    """Print why calls miss; return 0 when none does, else 1."""
    from llmbatch.cassette.upkeep.looking.finding import names_case  # noqa: PLC0415 - `--help` should not load it
    from llmbatch.cassette.upkeep.looking.nearest import nearest_of  # noqa: PLC0415 - as above
    from llmbatch.invocation.misses import Misses  # noqa: PLC0415 - as above
    from llmbatch.report.page import print_page  # noqa: PLC0415 - as above

    most = MOST if options.most is None else options.most
    if most < 1:
        raise UsageError(f"--most is {most}", fix="give --most a whole number of 1 or more")
    prepared = prepared_of(options.experiment, options, cassette=options.cassette, limit=options.limit)
    misses = Misses(most)
    name = options.case
    watched = replay(
        prepared, misses, quiet=options.quiet, wanted=lambda case: name is None or names_case(name, case.id)
    )
    if not watched.cases:
        raise _nothing(prepared, name)
    folder = prepared.cassette
    pairs = list(zip(misses.held, nearest_of(folder, misses.held), strict=True))
    print_page(
        _page(
            prepared,
            folder,
            misses,
            watched,
            pairs,
            whole=name is not None,
            command=run_command(options.experiment, options),
        )
    )
    return ExitCode.NO_ANSWER if misses.missed_calls or watched.failures else ExitCode.FINE


def _page(
    prepared: Prepared,
    folder: Path,
    misses: Misses,
    watched: Watched,
    pairs: list[tuple[Missed, Nearest | None]],
    *,
    whole: bool,
    command: str,
) -> Iterator[Part]:
    from llmbatch.cassette.upkeep.looking.reasons import reasons_of  # noqa: PLC0415 - as above
    from llmbatch.report.page import Field, Heading  # noqa: PLC0415 - as above
    from llmbatch.report.reasons import page_of_reasons  # noqa: PLC0415 - as above

    without = sum(watched.failures.values())
    if not without and not misses.missed_calls:
        yield Heading(f"{prepared.experiment.name}: all {watched.cases:,} cases are answered by {shown(folder)}")
        return
    yield Heading(f"{prepared.experiment.name}: {without:,} of {watched.cases:,} cases have no answer")
    yield Field("cassette", shown(folder) if folder.is_dir() else f"{shown(folder)}: there is no such folder")
    yield Field("calls", f"{misses.answered:,} answered, {misses.missed_calls:,} not recorded")
    if misses.not_held:
        yield Field("looked into", f"{len(misses.held):,} of {misses.missed_calls:,}; --most N looks into more")
    if whole:
        yield from _whole(pairs)
    else:
        yield from page_of_reasons(reasons_of(pairs))
    for kind, count in misses.failed.most_common():
        yield Heading(f"{counted(count, 'call')}: asked before, and the service gave no answer ({kind})", level=2)
        yield Field("for example", misses.failed_examples[kind])
    for kind, count in watched.failures.items():
        if kind not in misses.failed and kind != "not_recorded":
            yield Heading(f"{counted(count, 'case')} ended in {kind}, whatever is recorded", level=2)
            yield Field("for example", watched.examples[kind])
    if misses.missed_calls or misses.failed:
        yield Heading("next", level=2)
        if any(nearest is not None for _, nearest in pairs):
            yield Field("keep", "what was recorded: take back what differs, and the recorded answers count again")
        yield Field("ask anew", command)


def _whole(pairs: list[tuple[Missed, Nearest | None]]) -> Iterator[Part]:
    """Yield every miss with all that differs from what is recorded."""
    from llmbatch.cassette.upkeep.looking.difference import is_elsewhere  # noqa: PLC0415 - as above
    from llmbatch.report.interaction import difference_page  # noqa: PLC0415 - as above
    from llmbatch.report.page import Field, Heading  # noqa: PLC0415 - as above
    from llmbatch.report.reasons import ALIAS, MOST_SHOWN  # noqa: PLC0415 - as above

    for missed, nearest in pairs[:MOST_SHOWN]:
        yield Heading(f"{missed.case or 'no case'}")
        request = missed.call.request
        yield Field("asks", f"{request.method} {request.url}, key {missed.call.key.hex()}")
        if nearest is None:
            yield Field("nearest", "nothing is recorded that could be compared")
            continue
        yield Field("nearest", f"{nearest.relation.words}: {nearest.case or 'no case'}, key {nearest.key.hex()}")
        if is_elsewhere(nearest.differences):
            yield Field("fix", ALIAS)
        if nearest.differences:
            yield from difference_page(nearest.differences, "what is recorded", "what is asked")
    if len(pairs) > MOST_SHOWN:
        yield Heading(f"and {counted(len(pairs) - MOST_SHOWN, 'more call')}")


def _nothing(prepared: Prepared, name: str | None) -> UsageError:
    from llmbatch.cassette.upkeep.looking.finding import nearest_cases  # noqa: PLC0415 - as above

    if name is None:
        return UsageError("no case is selected", fix="llmbatch exp FILE --collect-only lists the variants")
    near = nearest_cases((case.id for case in prepared.plan), name)
    what = f"no case of {prepared.experiment.name} has {name!r} in its id"
    if not near:
        return UsageError(what, fix="write a case id, as rows and tables show it, or a sample's id")
    return UsageError(what, nearest="\n".join(near), fix=f"write {near[0]!r}")
