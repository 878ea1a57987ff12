"""Which generations of a merged cassette are complete. Knows no line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from llmbatch.errors import UsageError


def complete_of_all(complete: Mapping[Path, set[int]], with_lines: Mapping[Path, set[int]]) -> list[int]:
    """Return the generations that are marked complete in every source that has lines of them.

    A mark belongs to all lines of its generation: set, it would let lines answer that do not answer in their own
    cassette; left out, it would silence others. So sources that disagree are refused (UsageError).
    """
    marked = {generation for found in complete.values() for generation in found} - {0}
    for generation in sorted(marked):
        for source, generations in with_lines.items():
            if generation in generations and generation not in complete[source]:
                other = next(folder for folder, found in complete.items() if generation in found)
                raise UsageError(
                    f"generation {generation} is complete in {other} and only begun in {source}",
                    why="merged, it would either answer for both or for neither: other answers than now would win",
                    fix=f"record it to its end in {source} with `--record-mode all`, then merge again",
                )
    return sorted(marked)
