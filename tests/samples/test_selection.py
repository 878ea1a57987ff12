"""Selection: a seeded draw that grows without changing, and a limit."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmbatch.errors import UsageError
from llmbatch.samples import Samples, Selection, open_samples

POPULATION = list(range(200))


def values(samples: Samples) -> list[int]:
    return [sample.value for sample in samples]


def drawn(numbers: list[int], **wanted: int) -> list[int]:
    return values(Selection(**wanted).apply(open_samples(numbers)))


@given(st.integers(1, 250), st.integers(1, 250), st.integers())
@settings(max_examples=30)
def test_a_larger_draw_holds_the_smaller_one(one: int, other: int, seed: int) -> None:
    """Going from 50 to 100 samples pays for 50 more, and the order stays the file's."""
    smaller, larger = (drawn(POPULATION, sample=size, seed=seed) for size in sorted([one, other]))

    assert set(smaller) <= set(larger)
    assert sorted(larger) == larger
    assert min(max(one, other), 200) == len(larger)


@given(st.integers(0, 200), st.integers(1, 100))
@settings(max_examples=30)
def test_an_inserted_sample_replaces_at_most_one_of_the_drawn(at: int, size: int) -> None:
    """The draw goes by identity, so an edit of the file leaves the rest of it alone."""
    before = set(drawn(POPULATION, sample=size, seed=1))
    after = set(drawn([*POPULATION[:at], 1000, *POPULATION[at:]], sample=size, seed=1))

    assert len(before - after) <= 1


def test_the_seed_decides_the_draw() -> None:
    """Two seeds draw differently, one seed always the same."""
    assert drawn(POPULATION, sample=20, seed=1) == drawn(POPULATION, sample=20, seed=1)
    assert drawn(POPULATION, sample=20, seed=1) != drawn(POPULATION, sample=20, seed=2)


def test_the_limit_takes_the_first_of_the_drawn() -> None:
    """`--limit` comes after `--sample`."""
    assert drawn(POPULATION, sample=20, seed=1)[:5] == drawn(POPULATION, sample=20, limit=5, seed=1)
    assert drawn(POPULATION, limit=3) == [0, 1, 2]


def test_a_selection_can_be_iterated_again() -> None:
    """Selected samples are samples: counted, and read as often as wanted."""
    selected = Selection(limit=10, sample=20).apply(open_samples(POPULATION))

    assert values(selected) == values(selected)
    assert selected.count() == 10


def test_a_draw_has_no_favourites() -> None:
    """Over many seeds every sample is drawn about equally often (binomial, 7 standard deviations)."""
    counts = [0] * 200
    for seed in range(200):
        for value in drawn(POPULATION, sample=50, seed=seed):
            counts[value] += 1

    assert sum(counts) == 50 * 200
    assert all(50 - 43 < count < 50 + 43 for count in counts)


@pytest.mark.parametrize("wanted", [{"limit": 0}, {"sample": 0}, {"sample": -1}])
def test_a_number_below_one_is_a_usage_error(wanted: dict[str, int]) -> None:
    """Nothing would be selected, which nobody means."""
    with pytest.raises(UsageError, match="selects nothing"):
        Selection(**wanted)
