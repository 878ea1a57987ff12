"""What a command line names: `PATH`, `PATH::task` or `PATH::task[variant]`. Knows no file and no task."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from llmbatch.errors import UsageError

_FORM = "write PATH, PATH::task or PATH::task[variant]"


@dataclass(frozen=True, slots=True)
class Selector:
    """One task of an experiment, or one variant of it."""

    task: str
    variant: str | None = None

    def __str__(self) -> str:
        return self.task if self.variant is None else f"{self.task}[{self.variant}]"


@dataclass(frozen=True, slots=True)
class Target:
    """An experiment file, and what of it is wanted: None is all."""

    path: Path
    selector: Selector | None = None


def parse_target(text: str | Path) -> Target:
    """Split a target at its first `::`. Raises UsageError for a selector that is not one."""
    path, separator, wanted = str(text).partition("::")
    if not path:
        raise UsageError(f"{str(text)!r} names no file", fix=_FORM)
    if not separator:
        return Target(Path(path))
    task, bracket, variant = wanted.partition("[")
    if not task.isidentifier() or (bracket and (not variant.endswith("]") or len(variant) == 1)):
        raise UsageError(f"{str(text)!r} selects {wanted!r}, which is no task and no variant", fix=_FORM)
    return Target(Path(path), Selector(task, variant[:-1] if bracket else None))
