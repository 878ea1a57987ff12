"""Which folder `CASSETTE` on the command line means: a folder, an experiment file, or an experiment's name."""

from __future__ import annotations

from pathlib import Path

from llmbatch.errors import UsageError

CASSETTE_HELP = "a cassette's folder, or its experiment file"


def folder_of(text: str, *, may_be_new: bool = False) -> Path:
    """Return the cassette folder that a text names. Raises UsageError where there is none, unless it may be new."""
    named = Path(text)
    if named.is_dir():
        return named
    if named.suffix == ".py" and named.is_file():
        from llmbatch.collect import collect  # noqa: PLC0415 - it runs the experiment file; a folder needs none

        experiment = collect(named)
        named = experiment.root / "cassettes" / experiment.name
        if named.is_dir() or may_be_new:
            return named
    if may_be_new and named.suffix != ".py" and not named.exists():
        return named
    raise UsageError(
        f"there is no cassette at {named}",
        fix="name a folder with segment-*.yaml files, such as cassettes/commit_classify, or an experiment file",
    )
