"""Cells and the joining of their kinds."""

from __future__ import annotations

import enum
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmbatch.errors import TaskError
from llmbatch.tables.cells import MIXED, NULL, Cell, cell_of, join, kind_of

scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8)
cells: st.SearchStrategy[Cell] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


class Colour(enum.Enum):
    """An enum with text values, as a class of labels is."""

    RED = "red"


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05+00:00"),
        (date(2026, 1, 2), "2026-01-02"),
        (Decimal("1.10"), "1.10"),
        (PurePosixPath("a/b"), "a/b"),
        (Colour.RED, "red"),
        ((1, Colour.RED), [1, "red"]),
        ({Colour.RED: Decimal(1)}, {"red": "1"}),
        ("\ud800", "\\ud800"),
    ],
)
def test_a_value_of_the_library_becomes_its_one_text(value: object, cell: Cell) -> None:
    """Each type has one form, whatever the process."""
    assert cell == cell_of(value)


@pytest.mark.parametrize("value", [{"b", "a"}, b"bytes", object()])
def test_a_value_without_one_form_is_the_authors_error(value: object) -> None:
    """A set's order and an object's repr differ from process to process: neither may enter a table."""
    with pytest.raises(TaskError, match="has no one form"):
        cell_of(value)


def test_a_value_nested_beyond_the_stack_is_an_error_and_no_crash() -> None:
    """A hostile answer can nest as deeply as it likes."""
    nested: Any = []
    for _ in range(100_000):
        nested = [nested]

    with pytest.raises(TaskError, match="too deeply"):
        cell_of(nested)


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        (2**63 - 1, "int"),
        (2**63, "bigint"),
        (True, "bool"),
        (math.nan, "float"),
        ([], "list[null]"),
        ([1, None], "list[int]"),
        ([1, 2.5], "list[float]"),
        ([1, "a"], "json"),
        ([[1]], "json"),
        ({}, "json"),
    ],
)
def test_the_kind_of_a_cell(cell: Cell, kind: str) -> None:
    """A list is typed when its elements are alike; a bool is no integer."""
    assert kind == kind_of(cell)


@given(cells, cells, cells)
def test_kinds_join_in_any_order_to_the_same_kind(one: Cell, two: Cell, three: Cell) -> None:
    """The join is a semilattice: a column's kind cannot depend on the order of rows."""
    a, b, c = kind_of(one), kind_of(two), kind_of(three)

    assert join(a, b) == join(b, a)
    assert join(join(a, b), c) == join(a, join(b, c))
    assert a == join(a, a) == join(a, NULL)
    assert join(a, MIXED) == MIXED


@given(cells)
def test_a_cell_is_a_cell_already(cell: Cell) -> None:
    """Normalising twice changes nothing."""
    once = cell_of(cell)

    assert repr(once) == repr(cell_of(once))
