"""What has no answer: each case by itself, and the counts of a variant in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmbatch.tables.builtin.framing import TableSchema
from llmbatch.tables.cells import STR

if TYPE_CHECKING:
    import polars as pl

TEXT_CHARACTERS = 500

FAILURES_SCHEMA: TableSchema = {"case": STR, "status": STR, "error_kind": STR, "error": STR, "text": STR}


def failures(rows: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """Return every case that is not ok, in plan order; columns as in FAILURES_SCHEMA, all text.

    `text` is what the model said, cut to 500 characters.
    """
    import polars as pl  # noqa: PLC0415 - loaded when a table is made

    return (
        rows.lazy()
        .filter(pl.col("llmbatch_status") != "ok")
        .select(
            *(pl.col(f"llmbatch_{name}").cast(pl.String).alias(name) for name in FAILURES_SCHEMA if name != "text"),
            pl.col("llmbatch_text").cast(pl.String).str.slice(0, TEXT_CHARACTERS).alias("text"),
        )
        .collect()
    )


class FailureCounts:
    """How many cases of each variant have which status, those that are ok left out."""

    def __init__(self, rows: pl.DataFrame | pl.LazyFrame) -> None:
        import polars as pl  # noqa: PLC0415 - as above

        # counted apart: lists of the statuses in each group would hold every case in memory
        failed = (
            rows.lazy()
            .filter(pl.col("llmbatch_status") != "ok")
            .group_by("llmbatch_task", "llmbatch_variant", "llmbatch_status", maintain_order=True)
            .len()
            .collect()
        )
        self._counts: dict[tuple[str, str], dict[str, int]] = {}
        for task, variant, kind, count in failed.iter_rows():
            self._counts.setdefault((task, variant), {})[kind] = count

    def total(self, task: str, variant: str) -> int:
        """Return how many cases of a variant are not ok."""
        return sum(self._counts.get((task, variant), {}).values())

    def text(self, task: str, variant: str) -> str:
        """Return `parse_error 3, timeout 1`: the most frequent first, equally frequent ones by name."""
        counts = self._counts.get((task, variant), {})
        by_count = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return ", ".join(f"{status} {count}" for status, count in by_count)
