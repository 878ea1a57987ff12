"""The run-wide side of asking, and the `ask` that is bound to one case.

`ask(...)` renders, keys and draws at the call, in the order in which the task calls it; awaiting what it
returns looks the key up and, on a miss, gives the order to the engine. A hit touches neither.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from llmbatch.asking.cost import cost_usd
from llmbatch.asking.question import Question, Wording, read_arguments, reword, word
from llmbatch.asking.reading import answer_of, unanswered
from llmbatch.call.failure import Failure, FailureKind
from llmbatch.call.values import Call, Request
from llmbatch.cassette.case import CaseContext
from llmbatch.cassette.store import Store
from llmbatch.config import ResolvedModel
from llmbatch.engine.protocol import Engine, Order, Outcome
from llmbatch.errors import AuthorError, TaskError
from llmbatch.experiment.answer import Answer
from llmbatch.parse.structured import reask_message
from llmbatch.prompt import Prompts


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks: the case, its model, the fields that are withheld from prompts, and the samples' name for messages."""

    case: CaseContext
    model: ResolvedModel | None
    withheld: frozenset[str] = frozenset()
    source: str | None = None


@dataclass(slots=True)
class Asker:
    """What all asks of a run share.

    `engine` is None where nothing may be called. `on_author_error` hears of every question that cannot be
    put, whatever the task does with the exception: in a rehearsal such an error stops the run before it pays.
    """

    store: Store
    prompts: Prompts
    resolve: Callable[[str], ResolvedModel]
    engine: Engine | None = None
    on_author_error: Callable[[AuthorError], None] = field(default=lambda error: None)

    def prepare(self, positional: tuple[Any, ...], options: Mapping[str, Any], asking: Asking) -> Question:
        """Render, build the body, and take the next draw of that question within the case. Raises AuthorError."""
        try:
            arguments = read_arguments(positional, options)
            model = self._choose(options.get("model"), asking)
            template = self.prompts.get(arguments.prompt, verbatim=arguments.fields is None)
            wording = word(arguments, template, model, asking.withheld, asking.source)
        except AuthorError as error:
            self.on_author_error(error)
            raise
        request = self._request(wording.wire, model)
        call = self.store.call(request, asking.case.repeat, asking.case.draw(request.digest, options.get("draw")))
        return _question(wording, call, model, template.fingerprint, int(options.get("reasks", 0)))

    def _choose(self, named: object, asking: Asking) -> ResolvedModel:
        if named is not None:
            return self.resolve(str(named))
        if asking.model is None:
            raise TaskError(
                "no model is given for this ask",
                fix='add @parametrize("model", ["endpoint/name"]), or `model = "endpoint/name"` to the configuration',
            )
        return asking.model

    async def put(self, question: Question, case: CaseContext) -> Answer[Any]:
        """Return the answer, from the cassette or through the engine; re-ask while it does not fit."""
        answer = await self._put_once(question, case)
        for _ in range(question.reasks):
            if answer.failure not in {FailureKind.PARSE_ERROR, FailureKind.INVALID_ANSWER}:
                break
            question = self._reask(question, answer, case)
            answer = await self._put_once(question, case)
        return answer

    async def _put_once(self, question: Question, case: CaseContext) -> Answer[Any]:
        recorded = self.store.find(question.call.key)
        if recorded is not None:
            case.note(recorded, paid=False)
        outcome: Outcome = recorded if recorded is not None else await self._obtain(question, case)
        if isinstance(outcome, Failure):
            return unanswered(question, outcome)
        model = question.model
        case.costs_usd.append(cost_usd(outcome, model.settings, self.store.prices(question.call.key, model.qualified)))
        return answer_of(question, outcome)

    async def _obtain(self, question: Question, case: CaseContext) -> Outcome:
        if self.engine is not None and case.may_send and question.model.can_call:
            return await self.engine.obtain(Order(question.call, question.wire, question.model, case))
        if case.rehearsal:
            case.count_miss()
        await asyncio.sleep(0)  # a task that asks until an answer comes must not keep the loop for ever
        recorded = self.store.find_failure(question.call.key)
        if recorded is not None:
            return recorded.as_failure()
        return Failure(FailureKind.NOT_RECORDED, f"no recorded answer from {question.model.text}")

    def _reask(self, question: Question, answer: Answer[Any], case: CaseContext) -> Question:
        assert answer.failure is not None
        said = {"role": "assistant", "content": answer.text}
        fault = {"role": "user", "content": reask_message(Failure(answer.failure, answer.failure_message))}
        messages = [*question.messages, said, fault]
        wire = reword(question, messages)
        # the draw of the question: when it is asked again depends on timing, which draw it is must not
        call = self.store.call(self._request(wire, question.model), case.repeat, question.call.ordinal)
        wording = Wording(wire, question.shape, question.mode, messages, question.parameters)
        return _question(wording, call, question.model, question.prompt_fingerprint, question.reasks)

    def _request(self, wire: bytes, model: ResolvedModel) -> Request:
        return self.store.request("POST", model.chat_url, model.key_headers, wire)


def _question(wording: Wording, call: Call, model: ResolvedModel, fingerprint: str, reasks: int) -> Question:
    return Question(
        call=call,
        wire=wording.wire,
        shape=wording.shape,
        mode=wording.mode,
        messages=wording.messages,
        model=model,
        parameters=wording.parameters,
        prompt_fingerprint=fingerprint,
        reasks=reasks,
    )


class BoundAsk:
    """The `ask` of one case: knows its model, its repeat and what is withheld from prompts.

    `answers` are in the order in which the questions were put; None stands for one that is not there yet.
    """

    __slots__ = ("_asker", "_asking", "answers")

    def __init__(self, asker: Asker, asking: Asking) -> None:
        self._asker = asker
        self._asking = asking
        self.answers: list[Answer[Any] | None] = []

    def __call__(self, *arguments: Any, **options: Any) -> Coroutine[Any, Any, Answer[Any]]:
        """Render and key the question now; the returned coroutine brings the answer."""
        question = self._asker.prepare(arguments, options, self._asking)
        self.answers.append(None)
        return self._await(question, len(self.answers) - 1)

    async def _await(self, question: Question, place: int) -> Answer[Any]:
        answer = self.answers[place] = await self._asker.put(question, self._asking.case)
        return answer
