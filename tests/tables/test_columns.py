"""llmbatch's own columns."""

from __future__ import annotations

import pytest

from llmbatch.errors import TaskError
from llmbatch.tables.columns import OWN_COLUMNS, VOLATILE_COLUMNS, own_columns


def test_every_own_column_has_the_prefix_a_dtype_and_a_meaning() -> None:
    """Docs are made from this table."""
    assert all(column.name.startswith("llmbatch_") and column.dtype and column.meaning for column in OWN_COLUMNS)
    assert len(OWN_COLUMNS) == len({column.name for column in OWN_COLUMNS})


def test_parametrised_names_stand_after_the_model() -> None:
    """`model` itself has its column already."""
    names = [column.name for column in own_columns(["model", "prompt", "temperature"])]

    assert names[3:6] == ["llmbatch_model", "llmbatch_prompt", "llmbatch_temperature"]
    assert len(names) == len(OWN_COLUMNS) + 2


def test_a_parameter_that_would_be_an_own_column_is_the_authors_error() -> None:
    """Two columns of one name cannot be."""
    with pytest.raises(TaskError, match="llmbatch_status"):
        own_columns(["status"])


def test_only_times_and_request_ids_are_volatile() -> None:
    """Everything else must be equal when an experiment is recorded twice against a deterministic server."""
    assert set(VOLATILE_COLUMNS) == {"llmbatch_recorded_at", "llmbatch_taken_us", "llmbatch_request_id"}
