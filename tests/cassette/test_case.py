"""Draw counters: equal questions of one case are told apart by the order of calls, and by nothing else."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmbatch.call.failure import Failure, FailureKind
from llmbatch.call.values import Reply
from llmbatch.cassette.case import CaseContext
from llmbatch.errors import AmbiguousDraw

A, B = b"a" * 16, b"b" * 16


@given(st.lists(st.sampled_from([A, B])))
def test_the_nth_equal_question_is_draw_n(digests: list[bytes]) -> None:
    """Other questions in between do not count."""
    case = CaseContext("case", 0)

    drawn = [case.draw(digest) for digest in digests]

    assert [digests[:place].count(digest) for place, digest in enumerate(digests)] == drawn


def test_an_explicit_draw_is_taken_and_moves_nothing() -> None:
    """`draw=` says which one is meant, from any branch."""
    case = CaseContext("case", 0)

    drawn = [case.draw(A), case.draw(A, explicit=7), case.draw(A)]

    assert drawn == [0, 7, 1]


async def test_two_tasks_that_put_the_same_question_are_an_error() -> None:
    """Nothing tells which of two branches is draw 0 in every run."""
    case = CaseContext("case", 0)

    async def branch() -> int:
        return case.draw(A)

    with pytest.raises(AmbiguousDraw) as caught:
        await asyncio.gather(branch(), branch())

    assert "draw=" in caught.value.details["fix"]


async def test_tasks_that_do_not_overlap_are_an_error_too() -> None:
    """Whether branches overlap is timing; a verdict must not depend on it, nor on a reused address."""
    case = CaseContext("case", 0)

    async def branch() -> int:
        return case.draw(A)

    await asyncio.create_task(branch())
    gc.collect()

    for _ in range(20):  # one of them would get the dead task's address
        with pytest.raises(AmbiguousDraw):
            await asyncio.create_task(branch())


async def test_tasks_with_explicit_draws_or_other_questions_are_fine() -> None:
    """Only equal questions without a `draw=` are ambiguous."""
    case = CaseContext("case", 0)

    async def branch(digest: bytes, draw: int | None) -> int:
        return case.draw(digest, draw)

    drawn = [*await asyncio.gather(branch(A, 0), branch(A, 1), branch(A, None), branch(B, None))]

    assert drawn == [0, 1, 0, 0]


def test_two_threads_are_two_branches() -> None:
    """Where no event loop runs, the thread is what calls."""
    case = CaseContext("case", 0)
    case.draw(A)
    caught: list[AmbiguousDraw] = []

    def branch() -> None:
        try:
            case.draw(A)
        except AmbiguousDraw as error:
            caught.append(error)

    thread = threading.Thread(target=branch)
    thread.start()
    thread.join()

    assert len(caught) == 1


def test_a_retry_of_a_foreign_request_keeps_its_ordinal() -> None:
    """A failed attempt answered nothing, so the next attempt asks for the same draw."""
    case = CaseContext("case", 0)

    first = case.begin_foreign(A)
    case.end_foreign(A, answered=False)
    retry = case.begin_foreign(A)
    case.end_foreign(A, answered=True)
    second = case.begin_foreign(A)

    assert (first, retry, second) == (0, 0, 1)


def test_an_attempt_that_failed_unseen_is_begun_again() -> None:
    """One branch has one request on its way; a second begin means that the first is lost."""
    case = CaseContext("case", 0)

    assert case.begin_foreign(A) == case.begin_foreign(A) == 0


def test_asks_and_foreign_requests_share_the_count() -> None:
    """They have one key, so they must not have one ordinal."""
    case = CaseContext("case", 0)

    first = case.draw(A)
    second = case.begin_foreign(A)
    case.end_foreign(A, answered=True)
    third = case.draw(A)

    assert (first, second, third) == (0, 1, 2)


async def test_equal_foreign_requests_of_two_tasks_are_an_error_that_names_the_ways_out() -> None:
    """They have no `draw=`."""
    case = CaseContext("case", 0)

    async def branch() -> int:
        return case.begin_foreign(A)

    with pytest.raises(AmbiguousDraw) as caught:
        await asyncio.gather(branch(), branch())

    assert "in sequence" in caught.value.details["fix"]
    assert "seeds" in caught.value.details["fix"]


def test_an_answer_takes_the_failure_before_it_back() -> None:
    """A case whose retry was answered has no failure."""
    case = CaseContext("case", 0)
    busy, down = (Failure(kind, "") for kind in (FailureKind.RATE_LIMITED, FailureKind.SERVER_ERROR))

    for failure in (busy, down):
        case.begin_foreign(A)
        case.note_failure(failure, A)
        case.end_foreign(A, answered=False)
    noted = list(case.failures)
    case.begin_foreign(A)
    case.end_foreign(A, answered=True)

    assert [down] == noted
    assert case.failures == []


def test_replies_are_counted_by_whether_they_were_paid_now() -> None:
    """`replies` holds both, in the order noted."""
    case = CaseContext("case", 0)
    hit, paid = Reply(200, "OK", {}, b"hit"), Reply(200, "OK", {}, b"paid")

    case.note(hit, paid=False)
    case.note(paid, paid=True)

    assert [hit, paid] == case.replies
    assert (case.cached, case.paid) == (1, 1)
