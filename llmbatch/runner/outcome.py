"""What a case came to, from what its task returned or raised. Pure; the same for a recording and its replay.

Gathered asks end in any order, so nothing here depends on which of them ended first: answers are looked at in
the order in which they were put.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from llmbatch.call.failure import Failure, FailureKind
from llmbatch.cassette.case import CaseContext
from llmbatch.errors import (
    AnswerError,
    CassetteDamaged,
    DiskError,
    InternalError,
    LlmbatchError,
    NoAnswerRecorded,
    PromptError,
    UnrecordedConnection,
)
from llmbatch.experiment.answer import Answer, AnswerRow
from llmbatch.policy import verdict_of_exception

FATAL = (PromptError, UnrecordedConnection, DiskError, CassetteDamaged, InternalError)
"""What ends the run from inside a case: nothing good can come of the next one."""

_MISSING = frozenset({FailureKind.NOT_RUN, FailureKind.NOT_RECORDED})


class FixtureFailed(Exception):
    """A case cannot be run: a fixture that it takes has no value. `failure` is what its row says."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


Answers = Sequence[Answer[Any] | None]
"""The answers of a case in the order in which they were put; None for one that never came."""


def answer_spoken_of(returned: object, answers: Answers) -> Answer[Any] | None:
    """Return the answer that the row tells about: the one returned, else the last one put."""
    if isinstance(returned, Answer):
        return returned
    if isinstance(returned, AnswerRow):
        return returned.answer
    return next((answer for answer in reversed(answers) if answer is not None), None)


def failure_of_return(returned: object, answers: Answers) -> Failure | None:
    """Return the failure of the answer that was returned.

    A task that had to do without an answer, because it is not recorded or the run ended, has no result whatever it
    returned.
    """
    for answer in answers:
        if answer is not None and answer.failure is not None and answer.failure in _MISSING:
            return _failure_of(answer)
    spoken_of = returned.answer if isinstance(returned, AnswerRow) else returned
    return _failure_of(spoken_of) if isinstance(spoken_of, Answer) and spoken_of.failure is not None else None


def failure_of_exception(error: Exception, answers: Answers, context: CaseContext) -> Failure:
    """Return the failure behind an exception that left a task."""
    if isinstance(error, FixtureFailed):
        return error.failure
    unanswered = first_of(error, (AnswerError, NoAnswerRecorded))
    if isinstance(unanswered, AnswerError):
        failed = [failure for answer in answers if answer is not None and (failure := _failure_of(answer))]
        own = Failure(FailureKind(unanswered.kind), unanswered.what, unanswered.kind)
        return failed[0] if failed else own
    while isinstance(error, ExceptionGroup):  # a TaskGroup's
        error = error.exceptions[0]
    of_service = not isinstance(error, LlmbatchError) and verdict_of_exception(error).kind is not FailureKind.TASK_ERROR
    if context.failures and (of_service or unanswered is not None):
        # an SDK's exception over a reply that did not answer, which is filed in words of ours
        return context.failures[-1]
    if unanswered is not None:
        return Failure(FailureKind.NOT_RECORDED, unanswered.what, str(FailureKind.NOT_RECORDED))
    message = error.line() if isinstance(error, LlmbatchError) else f"{type(error).__name__}: {error}"
    return Failure(FailureKind.TASK_ERROR, message, type(error).__name__)


def first_of(error: BaseException, kinds: tuple[type[LlmbatchError], ...]) -> LlmbatchError | None:
    """Return the error, or the first one it was raised from, that is of these kinds: SDKs wrap their transport's."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, kinds):
            return link
        if isinstance(link, BaseExceptionGroup):
            return next((found for each in link.exceptions if (found := first_of(each, kinds)) is not None), None)
        link = link.__cause__
    return None


def cost_of(context: CaseContext) -> float | None:
    """Return what the case's answers cost, or None where the price of one is not known."""
    if len(context.costs_usd) == 1 == len(context.replies):
        return context.costs_usd[0]
    costs = [cost for cost in context.costs_usd if cost is not None]
    if not costs or len(costs) < len(context.replies):
        return None
    # fsum: the sum of gathered asks must not depend on the order in which they ended
    return math.fsum(costs)


def _failure_of(answer: Answer[Any]) -> Failure | None:
    if answer.failure is None:
        return None
    return Failure(answer.failure, answer.failure_message, answer.failure_detail)
