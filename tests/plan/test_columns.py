"""llmbatch's own columns."""

from __future__ import annotations

from llmbatch.columns import OWN_COLUMNS, VOLATILE_COLUMNS


def test_every_own_column_has_the_prefix_a_dtype_and_a_meaning() -> None:
    """Docs are made from this table."""
    assert all(column.name.startswith("llmbatch_") and column.meaning for column in OWN_COLUMNS)
    assert len(OWN_COLUMNS) == len({column.name for column in OWN_COLUMNS})


def test_only_times_and_request_ids_are_volatile() -> None:
    """Everything else must be equal when an experiment is recorded twice against a deterministic server."""
    assert set(VOLATILE_COLUMNS) == {"llmbatch_recorded_at", "llmbatch_taken_us", "llmbatch_request_id"}
