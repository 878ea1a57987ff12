"""The run-wide side of asking, and the `ask` that is bound to one case.

`ask(...)` renders, keys and draws at the call, in the order in which the task calls it; awaiting what it
returns looks the key up and, on a miss, gives the order to the engine. A hit touches neither.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from llmbatch.asking.embedder import Embedder
from llmbatch.asking.embedding import check_no_options
from llmbatch.asking.function_tool import declared_tools
from llmbatch.asking.question import (
    NO_TOOLS,
    REQUEST_OPTIONS,
    Arguments,
    Manner,
    Question,
    manner_of,
    question_of,
    read_arguments,
    word,
)
from llmbatch.asking.reading import answer_of, other_answers, unanswered, with_limit_told
from llmbatch.asking.tool_turns import MOST_TOOL_TURNS, ToolTurns
from llmbatch.call.failure import Failure, FailureKind
from llmbatch.call.key import call_key
from llmbatch.call.values import Reply
from llmbatch.cassette.address import Address
from llmbatch.cassette.case import CaseContext
from llmbatch.cassette.store import Store
from llmbatch.config import ResolvedModel
from llmbatch.engine.protocol import Engine, Order, Outcome
from llmbatch.errors import AuthorError, TaskError
from llmbatch.experiment.answer import Answer, Origin
from llmbatch.money.cost import cost_usd
from llmbatch.parse.structured import reask_message
from llmbatch.prompt import Prompts
from llmbatch.prompt.template import Template
from llmbatch.runlog import NoLog

_ASKED_AGAIN = frozenset({FailureKind.PARSE_ERROR, FailureKind.INVALID_ANSWER, FailureKind.OUT_OF_LABEL})
_MANNERS_KEPT = 512
_WAYS_KEPT = 512


class Asking(NamedTuple):
    """Who asks: the case, its model, the fields that are withheld from prompts, and the samples' name for messages."""

    case: CaseContext
    model: ResolvedModel | None
    withheld: frozenset[str] = frozenset()
    source: str | None = None


class _Way(NamedTuple):
    """How a question is put that differs from others in its fields alone. What ids stand for is held by it."""

    shape: object
    template: Template
    manner: Manner
    origin: Origin


@dataclass(slots=True)
class Asker:
    """What all asks of a run share.

    `engine` is None where nothing may be called. `on_author_error` hears of every question that cannot be
    put, whatever the task does with the exception: in a rehearsal such an error stops the run before it pays.
    `on_miss` hears of every question of a rehearsal that has no answer. `on_unprobed` hears of every question without
    an answer to a model that nobody has probed yet, and may raise RunAgain.
    """

    store: Store
    prompts: Prompts
    resolve: Callable[[str], ResolvedModel]
    engine: Engine | None = None
    tool_turns: ToolTurns = field(default_factory=lambda: ToolTurns(NoLog()))
    on_author_error: Callable[[AuthorError], None] = field(default=lambda error: None)
    on_miss: Callable[[Question, CaseContext], None] = field(default=lambda question, case: None)
    on_unprobed: Callable[[ResolvedModel, CaseContext], None] = field(default=lambda model, case: None)
    _manners: dict[tuple[object, ...], tuple[object, Manner]] = field(default_factory=dict)
    _ways: dict[tuple[int, int, str], _Way] = field(default_factory=dict)
    _embedder: Embedder | None = None
    _addresses: dict[int, tuple[ResolvedModel, Address]] = field(default_factory=dict)

    def prepare(self, positional: tuple[Any, ...], options: Mapping[str, Any], asking: Asking) -> Question:
        """Render, build the body, and take the next draw of that question within the case. Raises AuthorError."""
        way, fields = None, None
        if len(positional) == 3 and not options and type(positional[1]) is str:
            shape, prompt, fields = positional
            way = self._ways.get((id(asking.model), id(shape), prompt))
        try:
            if way is not None and type(fields) is dict:  # asked in this way before
                messages = way.template.render(fields, withheld=asking.withheld, source=asking.source)
            else:
                way, messages = self._worded(positional, options, asking)
            manner = way.manner
            address, written = manner.address, None
            canonical = manner.envelope.canonical(messages) if address.keys_canonical else None
            if canonical is None:
                written, canonical = manner.envelope.around(messages)
                digest = address.digest(written, canonical)
            else:
                digest = address.digest_of(canonical)
        except AuthorError as error:
            self.on_author_error(error)
            raise
        case = asking.case
        repeat, ordinal = case.repeat, case.draw(digest, options.get("draw") if options else None)
        key = call_key(digest, repeat, ordinal)
        reasks, functions = 0, NO_TOOLS
        if options:
            reasks = options.get("reasks", 0)
            if manner.tools:
                functions = dict(zip(manner.tools, options["tools"], strict=True))
        return question_of((manner, way.origin, messages, written, digest, repeat, ordinal, key, reasks, 0, functions))

    def _worded(
        self, positional: tuple[Any, ...], options: Mapping[str, Any], asking: Asking
    ) -> tuple[_Way, list[dict[str, Any]]]:
        """Work out how the question is put, and put it; an ask without options is put so again at less cost."""
        arguments = read_arguments(positional, options)
        model = asking.model
        if model is None or "model" in options:
            model = self._choose(options.get("model"), asking)
        template = self.prompts.get(arguments.prompt, verbatim=arguments.fields is None)
        manner = self._manner(arguments, model)
        messages = word(arguments, template, manner, asking.withheld, asking.source)
        way = _Way(arguments.shape, template, manner, manner.origin(template.fingerprint))
        if len(positional) == 3 and not options and type(arguments.prompt) is str and not manner.instruction:
            if len(self._ways) >= _WAYS_KEPT:
                self._ways.clear()
            self._ways[id(asking.model), id(arguments.shape), arguments.prompt] = way
        return way, messages

    def _choose(self, named: object, asking: Asking) -> ResolvedModel:
        if named is not None:
            return self.resolve(str(named))
        if asking.model is None:
            raise TaskError(
                "no model is given for this ask",
                fix='add @parametrize("model", ["endpoint/name"]), or `model = "endpoint/name"` to the configuration',
            )
        return asking.model

    def _manner(self, arguments: Arguments, model: ResolvedModel) -> Manner:
        """Return how the question is put, kept for the next question that is put so."""
        shape, options = arguments.shape, arguments.options
        key: tuple[object, ...] = (id(model), id(shape))  # both are held by what is kept
        if "tools" in options:
            key += tuple(map(id, declared_tools(options["tools"]).values()))  # held by the manner
        for name in _OF_A_MANNER if options else ():
            if name in options:
                value = options[name]
                if type(value) not in _SCALARS:
                    return manner_of(arguments, model, self._address(model))
                key += (name, repr(value))  # 1, 1.0 and True are equal, as are 0.0 and -0.0, and not sent alike
        kept = self._manners.get(key)
        if kept is None:
            if len(self._manners) >= _MANNERS_KEPT:
                self._manners.clear()
            kept = self._manners[key] = (shape, manner_of(arguments, model, self._address(model)))
        return kept[1]

    def _address(self, model: ResolvedModel) -> Address:
        known = self._addresses.get(id(model))
        if known is None:
            address = self.store.address("POST", model.chat_url, model.key_headers)
            known = self._addresses[id(model)] = (model, address)
        return known[1]

    @property
    def embedder(self) -> Embedder:
        """What puts texts to embedding models, made at the first."""
        if self._embedder is None:
            self._embedder = Embedder(self.store, self._obtain, self.on_miss)
        return self._embedder

    def prepare_texts(
        self, texts: object, named: str | None, asking: Asking, options: Collection[str] = ()
    ) -> list[Question]:
        """Return a question for each text that is put to an embedding model. Raises AuthorError, for any option too."""
        try:
            check_no_options(options)
            return self.embedder.questions(texts, self._choose(named, asking), asking.case)
        except AuthorError as error:
            self.on_author_error(error)
            raise

    def recorded(self, question: Question, case: CaseContext) -> Answer[Any] | None:
        """Return the recorded answer, None where there is none. Nothing is awaited for it."""
        reply = self.store.find(question.key)
        return None if reply is None else self.read(question, reply, case)

    def read(self, question: Question, reply: Reply, case: CaseContext, *, found: bool = True) -> Answer[Any]:
        """Return the answer that a reply holds; one that was `found` in the cassette is noted with the case here."""
        if found:
            case.note(reply, paid=False)
        answer, usage = answer_of(question, reply)
        manner = question.manner
        if manner.has_choices:
            answer._others = partial(other_answers, question, reply)  # noqa: SLF001 - who reads an answer makes it
        case.costs_usd.append(cost_usd(usage, manner.model.settings, self.store.prices(question.key, manner.qualified)))
        return answer

    async def put(self, question: Question, case: CaseContext, recorded: Answer[Any] | None) -> Answer[Any]:
        """Return the answer, `recorded` or through the engine; re-ask while it does not fit."""
        answer = recorded or await self._obtained(question, case)
        if question.functions:
            question, answer = await self._after_calls(question, answer, case)
        for _ in range(question.reasks):
            if answer.failure not in _ASKED_AGAIN:
                break
            question = self._reask(question, answer, case)
            answer = self.recorded(question, case) or await self._obtained(question, case)
            if question.functions:
                question, answer = await self._after_calls(question, answer, case)
        return answer

    async def _after_calls(
        self, question: Question, answer: Answer[Any], case: CaseContext
    ) -> tuple[Question, Answer[Any]]:
        """Run what the model calls and go on until it calls nothing; return the last question and its answer."""
        for _ in range(MOST_TOOL_TURNS):
            turns = await self.tool_turns.after(question, answer, case)
            if turns is None:
                return question, answer
            question = self._following(question, turns, case)
            answer = self.recorded(question, case) or await self._obtained(question, case)
        return question, with_limit_told(question, answer)

    async def _obtained(self, question: Question, case: CaseContext) -> Answer[Any]:
        outcome = await self._obtain(question, case)
        if isinstance(outcome, Failure):
            return unanswered(question, outcome)
        return self.read(question, outcome, case, found=False)

    async def _obtain(self, question: Question, case: CaseContext) -> Outcome:
        model = question.manner.model
        if model.is_unprobed and question.manner.url is None:
            self.on_unprobed(model, case)
        if self.engine is not None and case.may_send and model.can_call:
            return await self.engine.obtain(Order(question.call(), question.wire, model, case, question.manner.url))
        if case.rehearsal and question.manner.url is None:
            if case.tells_misses:
                self.on_miss(question, case)
            case.count_miss()
        await asyncio.sleep(0)  # a task that asks until an answer comes must not keep the loop for ever
        recorded = self.store.missed(question.call())
        if recorded is not None:
            return recorded.as_failure()
        return Failure(FailureKind.NOT_RECORDED, f"no recorded answer from {model.text}")

    def _reask(self, question: Question, answer: Answer[Any], case: CaseContext) -> Question:
        assert answer.failure is not None
        said = {"role": "assistant", "content": answer.text}
        fault = {"role": "user", "content": reask_message(Failure(answer.failure, answer.failure_message), answer.text)}
        return self._following(question, [said, fault], case)._replace(reasked=question.reasked + 1)

    def _following(self, question: Question, turns: list[dict[str, Any]], case: CaseContext) -> Question:
        """Return the question that goes on after these turns."""
        messages = [*question.messages, *turns]
        body = question.manner.envelope.around(messages)
        digest = question.manner.address.digest(body.wire, body.canonical)
        # the draw of the question: when it is asked further depends on timing, which draw it is must not
        key = call_key(digest, case.repeat, question.ordinal)
        return question._replace(messages=messages, written=body.wire, digest=digest, key=key)


_OF_A_MANNER = (*REQUEST_OPTIONS, "probability_of")
_SCALARS = frozenset({str, int, float, bool, type(None)})
