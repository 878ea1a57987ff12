"""`llmbatch cassette prune`: take out what the experiment no longer asks for; without --apply, only say what."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from llmbatch.cli.cassette.place import folder_of
from llmbatch.cli.cassette.planned import add_run_flags, prepared_of, replay, shown
from llmbatch.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from llmbatch.cassette.upkeep.walk import RecordedLine
    from llmbatch.invocation.misses import Asked
    from llmbatch.invocation.prepared import Prepared
    from llmbatch.invocation.watched import Watched


def add(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("cassette", metavar="CASSETTE", help="an experiment file; or a folder, with --experiment")
    parser.add_argument("--experiment", metavar="FILE", help="the experiment, where CASSETTE is a folder")
    parser.add_argument("--apply", action="store_true", help="do it; what is taken out goes to a folder beside")
    parser.add_argument("--delete", action="store_true", help="with --apply: keep no copy of what is taken out")
    parser.add_argument("--even-with-misses", action="store_true", help="do it although some answers are missing")
    add_run_flags(parser)


def run(options: argparse.Namespace) -> int:
    """Replay, say what is no longer asked for, and with --apply take it out.

    Raises UsageError where the replay does not show all that is asked.
    """
    from llmbatch.cassette.upkeep.pruning import folder_aside, prune, survey_of  # noqa: PLC0415 - for `--help`
    from llmbatch.invocation.misses import Asked  # noqa: PLC0415 - as above
    from llmbatch.report.pruning import print_survey  # noqa: PLC0415 - as above

    if options.delete and not options.apply:
        raise UsageError("--delete says how --apply is done, which is not given", fix="add --apply, or leave it out")
    prepared = _prepared(options)
    folder = prepared.cassette
    with _locked(folder, options.apply):
        asked = Asked()
        watched = replay(prepared, asked, quiet=options.quiet)
        survey = survey_of(folder, asked.keys, _reasons(prepared, folder, asked))
        doubt = _doubt(asked, watched)
        if not survey.stays.answers and survey.goes.answers:
            raise _another(prepared, folder)
        print_survey(shown(folder), survey)
        if not survey.goes.bytes:
            return ExitCode.FINE
        if doubt and not options.even_with_misses:
            raise _doubtful(doubt)
        if not options.apply:
            print("nothing was changed; the same command with --apply takes it out")
            return ExitCode.FINE
        aside = None if options.delete else folder_aside(folder, f"{datetime.now(UTC):%Y-%m-%d}")
        prune(folder, asked.keys, aside=aside)
    print("done; " + ("no copy is kept" if aside is None else f"what was taken out is a cassette: {shown(aside)}"))
    return ExitCode.FINE


def _prepared(options: argparse.Namespace) -> Prepared:
    from llmbatch.collect import parse_target  # noqa: PLC0415 - as above

    named = Path(options.cassette)
    for target in (options.cassette, options.experiment or ""):
        if "::" in target and parse_target(target).selector is not None:
            raise UsageError(
                f"{target} names a part of the experiment, and all else would be taken out",
                fix=f"write {parse_target(target).path}: pruning is of a whole experiment",
            )
    if options.experiment is not None:
        return prepared_of(options.experiment, options, cassette=folder_of(options.cassette))
    if named.is_dir():
        raise UsageError(
            f"{named} is a folder, and only its experiment says what is still asked for",
            fix=f"llmbatch cassette prune {options.cassette} --experiment FILE",
        )
    return prepared_of(options.cassette, options, cassette=folder_of(options.cassette))


@contextmanager
def _locked(folder: Path, wanted: bool) -> Iterator[None]:
    """Keep other writers away from before the replay until all is written."""
    from llmbatch.cassette.lock import Lock  # noqa: PLC0415 - as above

    if not wanted:
        yield
        return
    lock = Lock(folder).take()
    try:
        yield
    finally:
        lock.release()


def _reasons(prepared: Prepared, folder: Path, asked: Asked) -> Callable[[RecordedLine], str]:
    """Return what says why a line is no longer asked for: its variant, its case, or what the case asks."""
    from llmbatch.cassette.case import PROBE  # noqa: PLC0415 - as above
    from llmbatch.cassette.upkeep.digests import Digests, digest_of_text  # noqa: PLC0415 - as above
    from llmbatch.cassette.upkeep.pruning import unasked  # noqa: PLC0415 - as above
    from llmbatch.cassette.upkeep.walk import title_of  # noqa: PLC0415 - as above

    plan = prepared.plan
    titles = {task.title(variant) for task in plan.tasks for variant in task.variants}
    gone, planned = Digests(), Digests()
    for line in unasked(folder, asked.keys):
        gone.add(digest_of_text(line.case or ""))
    if len(gone):
        for case in plan:
            digest = digest_of_text(case.id)
            if digest in gone:
                planned.add(digest)

    def reason_of(line: RecordedLine) -> str:
        case = line.case
        if case is None:
            return "belongs to no case"
        if case.startswith(PROBE):
            return "a probe of a model that is no longer asked"
        if title_of(case) not in titles:
            return "the variant is no longer in the experiment"
        return "the case asks otherwise now" if digest_of_text(case) in planned else "its sample is no longer there"

    return reason_of


def _doubt(asked: Asked, watched: Watched) -> list[str]:
    """Return why the replay may not have come to all that is asked, in words."""
    found = [f"{asked.missed_calls:,} calls have no recorded answer"] if asked.missed_calls else []
    found += [f"{count:,} cases end in {kind}" for kind, count in watched.failures.items() if kind != "not_recorded"]
    examples = list(watched.examples.values()) or [asked.first_miss]
    return [*found, f"for example {examples[0]}"] if found else []


def _doubtful(doubt: list[str]) -> UsageError:
    return UsageError(
        "nothing was taken out: what is still asked for is not known for sure",
        doubt="\n".join(doubt),
        why="a case that stops at a miss does not come to what it asks next, which may be recorded",
        fix="record what is missing first, or add --even-with-misses",
    )


def _another(prepared: Prepared, folder: Path) -> UsageError:
    return UsageError(
        f"{shown(prepared.experiment.path)} asks for nothing that is recorded in {shown(folder)}",
        fix="name the experiment of this cassette; a cassette that nobody needs is a folder to delete",
    )
