"""What the last run of an experiment left behind, for who wants to go on from it."""

from __future__ import annotations

import re
from pathlib import Path

from llmbatch.errors import UsageError

ROWS = "rows.parquet"
_NAME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ)(?:-(\d{1,3}))?")


def run_folders(results: Path) -> list[Path]:
    """Return the folders of an experiment's runs, the newest first; one without any has none."""
    try:
        named = [(match, path) for path in results.iterdir() if (match := _NAME.fullmatch(path.name))]
    except OSError:
        return []
    ordered = sorted(((match[1], int(match[2] or 1)), path) for match, path in named if path.is_dir())
    return [path for _, path in reversed(ordered)]


def cases_without_ok(results: Path) -> frozenset[str]:
    """Return the ids of the cases whose row is not ok in the last run that has rows. Raises UsageError."""
    import polars as pl  # noqa: PLC0415 - few runs go on from another

    folder = next((folder for folder in run_folders(results) if (folder / ROWS).is_file()), None)
    if folder is None:
        raise UsageError(
            f"--last-failed goes on from the last run, and there is no rows.parquet of one in {results}",
            fix="run without --last-failed first, or name the folder of its results with --results",
        )
    try:
        rows = (
            pl.scan_parquet(folder / ROWS).filter(pl.col("llmbatch_status") != "ok").select("llmbatch_case").collect()
        )
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UsageError(
            f"the rows of the last run cannot be read: {error}",
            file=str(folder / ROWS),
            fix="remove that folder to go on from the run before it, or run without --last-failed",
        ) from error
    return frozenset(rows["llmbatch_case"].to_list())
