"""The `ask` of one case."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any

from llmbatch.asking.asker import Asker, Asking
from llmbatch.asking.question import Question
from llmbatch.asking.reading import unanswered
from llmbatch.call.failure import Failure
from llmbatch.errors import AnswerError, TaskError
from llmbatch.experiment.answer import Answer


class BoundAsk:
    """The `ask` of one case: knows its model, its repeat and what is withheld from prompts.

    `answers` are in the order in which the questions were put; None stands for one that is not there yet. `embedded`
    says how texts were last put to an embedding model: what a row tells of a task that asks nothing else.
    """

    __slots__ = ("_asker", "_asking", "answers", "embedded")

    def __init__(self, asker: Asker, asking: Asking) -> None:
        self._asker = asker
        self._asking = asking
        self.answers: list[Answer[Any] | None] = []
        self.embedded: Answer[Any] | None = None

    def __call__(self, *arguments: Any, **options: Any) -> Coroutine[Any, Any, Answer[Any]]:
        """Render and key the question now; the returned coroutine brings the answer."""
        question = self._asker.prepare(arguments, options, self._asking)
        self.answers.append(None)
        before = options.get("after") if options else None
        if before is not None and before.failure and before.reply is None and not self._asking.case.rehearsal:
            return self._unasked(question, len(self.answers) - 1, before)
        return self._await(question, len(self.answers) - 1)

    async def embed(self, texts: Sequence[str], *, model: str | None = None, **options: object) -> list[list[float]]:
        """Return one vector for each text, in their order. Raises AnswerError where one has none."""
        asker, case = self._asker, self._asking.case
        questions = asker.prepare_texts(texts, model, self._asking, options)
        if questions:
            self.embedded = Answer(origin=questions[0].origin)
        vectors: list[list[float]] = []
        for question, vector in zip(questions, await asker.embedder.vectors(questions, case), strict=True):
            if isinstance(vector, Failure):
                self.answers.append(unanswered(question, vector))
                raise AnswerError(vector.message, kind=str(vector.kind))
            vectors.append(vector)
        return vectors

    async def _unasked(self, question: Question, place: int, before: Answer[Any]) -> Answer[Any]:
        """Return the failure of the turn before: going on without it would be paid for, and asked otherwise later."""
        assert before.failure is not None
        failure = Failure(before.failure, before.failure_message, before.failure_detail)
        answer = self.answers[place] = unanswered(question, failure)
        return answer

    async def _await(self, question: Question, place: int) -> Answer[Any]:
        asker, case = self._asker, self._asking.case
        reply = asker.store.find(question.key)
        answer = None if reply is None else asker.read(question, reply, case)
        if answer is None or question.reasks or question.functions:
            answer = await asker.put(question, case, answer)
        self.answers[place] = answer
        return answer


class FixtureAsk(BoundAsk):
    """The `ask` of a fixture: good while it is made and torn down.

    A case that asked by it would be answered in the fixture's name, as whichever draw its turn comes to.
    """

    __slots__ = ("_name", "_place", "is_open")

    def __init__(self, asker: Asker, asking: Asking, name: str, place: str) -> None:
        super().__init__(asker, asking)
        self._name, self._place = name, place
        self.is_open = True

    def __call__(self, *arguments: Any, **options: Any) -> Coroutine[Any, Any, Answer[Any]]:
        """Render and key the question now. Raises TaskError where the fixture is made already."""
        self._check()
        return super().__call__(*arguments, **options)

    async def embed(self, texts: Sequence[str], *, model: str | None = None, **options: object) -> list[list[float]]:
        """Return one vector for each text, in their order. Raises TaskError where the fixture is made already."""
        self._check()
        return await super().embed(texts, model=model, **options)

    def _check(self) -> None:
        if not self.is_open:
            error = TaskError(
                f"the `ask` of the fixture {self._name} was used after it was made",
                place=self._place,
                fix="ask by the task's own `ask`: hand it to what the fixture returns, helper(ask, ...)",
            )
            self._asker.on_author_error(error)
            raise error
