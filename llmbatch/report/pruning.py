"""What of a cassette is no longer asked for, as a person reads it. Knows the counts only."""

from __future__ import annotations

from typing import TextIO

from llmbatch.cassette.upkeep.pruning import Share, Survey
from llmbatch.report.counting import counted
from llmbatch.report.grid import Grid
from llmbatch.report.page import Field, Heading, print_page
from llmbatch.report.safe import safe
from llmbatch.report.statistics import bytes_text
from llmbatch.report.terminal import print_grids

_MOST_ROWS = 40


def print_survey(name: str, survey: Survey, *, stream: TextIO | None = None) -> None:
    """Print what stays and what would go, the latter by variant and reason, the largest first."""
    fields = [Field("still asked", _words(survey.stays)), Field("no longer", _words(survey.goes))]
    print_page([Heading(f"cassette {name}"), *fields], stream=stream)
    print(file=stream)
    ordered = sorted(survey.by_reason.items(), key=lambda pair: -pair[1].bytes)
    rows = tuple(
        (safe(title), reason, f"{share.answers:,}", f"{share.attempts:,}", bytes_text(share.bytes))
        for (title, reason), share in ordered[:_MOST_ROWS]
    )
    notes = (f"and {len(ordered) - _MOST_ROWS:,} more",) if len(ordered) > _MOST_ROWS else ()
    headers = ("variant", "no longer asked, because", "n", "failed", "size")
    if rows:
        print_grids([Grid("would go", headers, (False, False, True, True, True), rows, notes)], stream=stream)


def _words(share: Share) -> str:
    attempts = f" and {counted(share.attempts, 'attempt')} without an answer" if share.attempts else ""
    return f"{counted(share.answers, 'interaction')}{attempts}, {bytes_text(share.bytes)}"
