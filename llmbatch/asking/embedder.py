"""Many texts to vectors: each its own question, recorded by itself, and all of a call on their way at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from llmbatch.asking.embedding import checked_texts, embedding_manner, embedding_question, vector_in
from llmbatch.asking.question import Manner, Question
from llmbatch.call.failure import Failure
from llmbatch.cassette.case import CaseContext
from llmbatch.cassette.store import Store
from llmbatch.config import ResolvedModel
from llmbatch.engine.protocol import Outcome
from llmbatch.money.cost import cost_usd
from llmbatch.parse.completion import usage_of


@dataclass(slots=True)
class Embedder:
    """`obtain` brings what is not recorded; `on_miss` hears of it in a rehearsal."""

    store: Store
    obtain: Callable[[Question, CaseContext], Awaitable[Outcome]]
    on_miss: Callable[[Question, CaseContext], None]
    _manners: dict[int, tuple[ResolvedModel, Manner]] = field(default_factory=dict)

    def questions(self, texts: object, model: ResolvedModel, case: CaseContext) -> list[Question]:
        """Return the question for each text; equal texts have equal ones. Raises TaskError."""
        known = self._manners.get(id(model))
        if known is None:
            address = self.store.address("POST", model.embeddings_url, model.key_headers)
            known = self._manners[id(model)] = (model, embedding_manner(model, address))
        return [embedding_question(text, known[1], case) for text in checked_texts(texts)]

    async def vectors(self, questions: Sequence[Question], case: CaseContext) -> list[list[float] | Failure]:
        """Return what each question came to, recorded or obtained; of equal ones one is put."""
        once = {question.key: question for question in questions}
        outcomes: dict[bytes, Outcome] = {}
        for key in once:
            reply = self.store.find(key)
            if reply is not None:
                case.note(reply, paid=False)
                outcomes[key] = reply
        missing = [question for key, question in once.items() if key not in outcomes]
        if case.rehearsal and missing:
            for question in missing if case.tells_misses else ():
                self.on_miss(question, case)
            case.count_miss()  # one, however many texts there are
        asked = await asyncio.gather(*(self.obtain(question, case) for question in missing))
        outcomes.update(zip((question.key for question in missing), asked, strict=True))
        vectors = {key: self._vector(question, outcomes[key], case) for key, question in once.items()}
        return [vectors[question.key] for question in questions]

    def _vector(self, question: Question, outcome: Outcome, case: CaseContext) -> list[float] | Failure:
        if isinstance(outcome, Failure):
            return outcome
        manner = question.manner
        prices = self.store.prices(question.key, manner.qualified)
        case.costs_usd.append(cost_usd(usage_of(outcome.body), manner.model.settings, prices))
        return vector_in(outcome, manner.address.url)
