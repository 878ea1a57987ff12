"""The limit of attempts in flight shrinks once a congestion, holds through errors and grows back to its ceiling."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llmbatch.pacing.concurrency import Change, Concurrency


def filled(ceiling: int) -> Concurrency:
    concurrency = Concurrency(ceiling)
    concurrency.sent(ceiling)
    return concurrency


def test_sixty_four_refusals_at_once_are_one_congestion() -> None:
    """Half is left, not a half of a half of a half."""
    concurrency = filled(64)
    changes = [concurrency.refused(epoch=0) for _ in range(64)]

    assert [Change(64, 32, "rate limit")] == [change for change in changes if change is not None]


def test_an_attempt_on_the_new_terms_that_is_refused_shrinks_again() -> None:
    """That is another congestion."""
    concurrency = filled(64)
    concurrency.refused(0)
    concurrency.sent(32)

    assert Change(32, 16, "rate limit") == concurrency.refused(1)


def test_what_shrinks_is_what_was_tried() -> None:
    """Ten in flight under a limit of 64: it is the ten that were too many."""
    concurrency = Concurrency(64)
    concurrency.sent(10)

    assert Change(64, 5, "rate limit") == concurrency.refused(0)


def test_one_that_is_refused_alone_shrinks_nothing() -> None:
    """As the first call of a run, which goes alone: it says that the service is closed, not how many it bears."""
    concurrency = Concurrency(64)
    concurrency.sent(1)

    assert concurrency.refused(0) is None
    assert 64 == concurrency.limit


def test_it_never_shrinks_below_one_and_grows_back_to_its_ceiling() -> None:
    """A long bad spell freezes nothing: a round of answers brings an eighth more, one at the least."""
    concurrency = filled(64)
    for epoch in range(20):
        concurrency.refused(epoch)
        concurrency.sent(concurrency.limit)
    lowest, answers = concurrency.limit, 0
    while concurrency.limit < 64:
        concurrency.answered(concurrency.epoch)
        answers += 1

    assert 1 == lowest == concurrency.lowest
    assert answers < 1000
    assert concurrency.answered(concurrency.epoch) is None


def test_it_stays_for_a_while_below_what_was_refused() -> None:
    """A service that bears ten is not asked for the eleventh in every round; but now and then it is."""
    concurrency = filled(64)
    while concurrency.limit > 10:
        concurrency.answered(concurrency.epoch)
        concurrency.sent(11)
        concurrency.refused(concurrency.epoch)
    spent = dict.fromkeys(range(1, 12), 0)
    while concurrency.limit < 11:
        spent[concurrency.limit] += 1
        concurrency.answered(concurrency.epoch)

    assert [5, 6, 7, 8, 9] == [spent[limit] for limit in range(5, 10)]
    assert 8 * 10 == spent[10]


def test_answers_from_before_a_shrink_prove_nothing() -> None:
    """They were accepted on the old terms."""
    concurrency = filled(8)
    concurrency.refused(0)

    assert [None] * 50 == [concurrency.answered(0) for _ in range(50)]
    assert 4 == concurrency.limit


@given(st.integers(1, 300), st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=300))
def test_whatever_happens_it_stays_between_one_and_its_ceiling(ceiling: int, replies: list[tuple[bool, int]]) -> None:
    """And every change says what was before it."""
    concurrency, limit = filled(ceiling), ceiling
    for is_answer, age in replies:
        epoch = max(0, concurrency.epoch - age)
        change = concurrency.answered(epoch) if is_answer else concurrency.refused(epoch)
        if change is not None:
            assert (limit, concurrency.limit) == (change.was, change.limit)
            limit = change.limit
        assert 1 <= concurrency.limit <= ceiling
