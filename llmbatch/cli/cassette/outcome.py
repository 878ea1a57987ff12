"""How the commands that write cassettes tell what came of it. Prints no byte a terminal would obey."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from llmbatch.report.counting import counted
from llmbatch.report.safe import safe

if TYPE_CHECKING:  # `--help` should not load them
    from llmbatch.cassette.upkeep.remaking.arranging import Conflict
    from llmbatch.cassette.upkeep.remaking.merge import Merged, Summary


def print_conflict(conflict: Conflict) -> None:
    """Print one conflict in one line: which call, and where its two answers are."""
    asked = ", ".join(filter(None, [f"case {conflict.case}" if conflict.case else "", conflict.model]))
    places = f"{conflict.kept} stays, {conflict.set_aside} becomes a duplicate"
    print(safe(f"conflict: key {conflict.key} ({asked or 'no case'}) has two answers: {places}".replace("\n", " ")))


def merged_lines(merged: Merged, target: Path) -> Iterator[str]:
    """Yield what was read, what was not taken, and what the new cassette holds."""
    yield from merged.notes
    for source, summary in merged.before:
        yield f"{source}: {summary_text(summary)}"
    said = [counted(merged.repeated, "line was", "lines were") + " there more than once"] if merged.repeated else []
    if merged.set_aside:
        said.append(counted(merged.set_aside, "second answer") + " became duplicates")
    said.append(f"{counted(merged.conflicts, 'conflict') if merged.conflicts else 'no conflict'}")
    yield "; ".join(said)
    if merged.failures:
        yield counted(merged.failures, "attempt") + " in the failures files, duplicates among them"
    yield f"{target}: {summary_text(merged.after)}, {counted(merged.files, 'file')}"


def summary_text(summary: Summary) -> str:
    """Return how many calls have an answer, and the content digest, in words."""
    return f"{counted(summary.answers, 'interaction')}, content digest {summary.digest}"
