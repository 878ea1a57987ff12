"""One canonical cassette out of several: the same bytes for the same lines, whatever files they came in.

Sources are read only. The target appears whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from llmbatch.cassette.segment import FAILURES
from llmbatch.cassette.store import Store
from llmbatch.cassette.upkeep.alias import merge_aliases
from llmbatch.cassette.upkeep.remaking.appearing import appearing
from llmbatch.cassette.upkeep.remaking.arranging import Conflict, arrange
from llmbatch.cassette.upkeep.remaking.gathering import Gathered, Rewriting
from llmbatch.cassette.upkeep.remaking.generations import complete_of_all
from llmbatch.cassette.upkeep.remaking.writing import SEGMENT_BYTES, write_cassette


@dataclass(frozen=True, slots=True)
class Summary:
    """How many calls of a cassette have an answer, and its content digest."""

    answers: int
    digest: str


@dataclass(frozen=True, slots=True)
class Merged:
    """What was merged: each source before, the target after, and what became of lines that were there again.

    `repeated` lines were equal to another, `set_aside` answers became duplicates; of these, `conflicts` said
    something else than the answer that stays. `notes` tell what a source's files held beyond whole lines.
    """

    before: list[tuple[Path, Summary]]
    after: Summary
    failures: int
    files: int
    repeated: int
    set_aside: int
    conflicts: int
    notes: list[str]


def merge(
    sources: Sequence[Path],
    target: Path,
    on_conflict: Callable[[Conflict], None],
    *,
    rewriting: Rewriting | None = None,
    segment_bytes: int = SEGMENT_BYTES,
) -> Merged:
    """Make `target` the canonical cassette of all lines of the sources, and say what it came to.

    `on_conflict` is told of each answer that does not stay and differs from the one that does. Raises UsageError
    when the target is there, or when generations or aliases disagree; CassetteDamaged, CassetteLocked and DiskError.
    """
    with appearing(target, sources) as folder, closing(Gathered(rewriting)) as lines:
        for source in dict.fromkeys(sources):
            lines.add(source)
        before = [(source, summary_of(source)) for source in lines.complete]
        complete = complete_of_all(lines.complete, lines.generations)
        aliases = merge_aliases(list(lines.complete))
        if rewriting is not None:
            rewriting.aliases(aliases)
        arranged = arrange(lines, on_conflict)
        files = write_cassette(
            folder, arranged.shelves, complete, lines.read, aliases=aliases, segment_bytes=segment_bytes
        )
        failures = sum(len(shelf.entries) for shelf in arranged.shelves if shelf.kind == FAILURES)
        arranged.shelves.clear()  # the digest has need of an index of its own
        counts = arranged.repeated, arranged.set_aside, arranged.conflicts
        return Merged(before, summary_of(folder), failures, files, *counts, lines.notes)


def summary_of(folder: Path) -> Summary:
    """Return how many calls have an answer, and the content digest. Raises CassetteDamaged."""
    with Store(folder) as store:
        return Summary(len(store), store.content_digest())
