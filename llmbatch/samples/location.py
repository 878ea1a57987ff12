"""Where an author's path leads: the experiment's folder first, then the project root. Reads no content."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

_MOST_NAMES = 2_000  # listing a huge folder for the sake of a hint would be worse than a poorer hint


def candidates(source: str | Path, base_folders: Sequence[Path]) -> list[Path]:
    """Return the places a path may mean, in the order tried, each once."""
    return list(dict.fromkeys(folder / source for folder in base_folders)) or [Path(source)]


def shown(path: Path, base_folders: Sequence[Path]) -> str:
    """Return the path as messages and rows show it: below the project root, never a machine's own path.

    The last base folder is the project root. A file outside all of them is shown by its name alone.
    """
    for folder in reversed(base_folders):
        try:
            return (path.parent.resolve() / path.name).relative_to(folder.resolve()).as_posix()
        except ValueError:
            continue
    return path.name


def near_names(name: str, folders: Iterable[Path], suffixes: Sequence[str], *, deep: bool = False) -> list[str]:
    """Return up to three files below the folders whose path there is like `name`, the nearest first."""
    known: dict[str, None] = {}
    for folder in folders:
        found = folder.rglob("*") if deep else folder.glob("*")
        for path in islice(found, _MOST_NAMES):
            if path.name.lower().endswith(tuple(suffixes)):
                known[path.relative_to(folder).as_posix()] = None
    return get_close_matches(name, sorted(known), n=3, cutoff=0.5)


def joined(names: Iterable[str], most: int = 12) -> str:
    """Return names for a message, separated by commas, cut after `most`."""
    listed = list(names)
    more = f", and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
