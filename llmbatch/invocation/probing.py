"""The probes that a run makes: before the first question to a model of which its cassette has no answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from llmbatch.call.failure import FailureKind
from llmbatch.call.values import Reply
from llmbatch.capability.probe import probe
from llmbatch.capability.questions import Question
from llmbatch.capability.words import summary
from llmbatch.cassette.case import PROBE, CaseContext, RunAgain
from llmbatch.config import UNKNOWN, Capabilities, ResolvedModel
from llmbatch.engine.protocol import Engine, Order
from llmbatch.invocation.known_models import KnownModels, Service
from llmbatch.runlog import Log

DEFAULT_MODE = "json_schema"
_FIRST = "first asked some eleven short questions on what it can do (`structured` in its settings spares them)"


@dataclass(slots=True)
class Prober:
    """Makes probes by the run's engine, each once, and adds what they find out to the known models.

    `on_known` hears when more is known of a model than before, `on_paid` of the answers that were paid for, `tell` of
    each model that was probed. `note` is told before, since a slow service is silent for long.
    """

    known: KnownModels
    on_paid: Callable[[int], None]
    tell: Callable[[ResolvedModel, str], None]
    engine: Engine | None = None
    note: Callable[[str], None] = lambda text: None
    on_known: Callable[[], None] = lambda: None
    _wanted: dict[Service, ResolvedModel] = field(default_factory=dict)
    _making: dict[Service, asyncio.Task[None]] = field(default_factory=dict)
    _is_cut_short: bool = False

    def before_question(self, model: ResolvedModel, case: CaseContext) -> None:
        """Hear of a question without an answer to an unprobed model. Raises RunAgain where a probe comes before it."""
        if not self.known.has_learned(model):
            if not self.known.is_to_be_probed(model):
                return
            service = self.known.service(model)
            if service not in self._making:
                self._wanted[service] = model
        if not case.rehearsal:
            case.abandoned = True
            raise RunAgain

    async def made(self) -> None:
        """Wait until the models that were asked for are probed. Raises what must end the run."""
        wanted, self._wanted = self._wanted, {}
        for service, model in wanted.items():
            self._making[service] = asyncio.ensure_future(self._make(model))
        makings = list(self._making.values())  # more may begin meanwhile, for who waits for those
        if makings:
            await asyncio.wait(makings)
        for making in makings:
            making.result()

    async def _make(self, model: ResolvedModel) -> None:
        case = CaseContext(f"{PROBE}{model.qualified}", 0)
        conversation = probe(model.name, model.defaults)
        questions: Sequence[Question] = next(conversation)
        if self.engine is not None:
            self.note(f"{model.qualified}: {_FIRST}")
        while True:
            replies = await asyncio.gather(*[self._reply(model, question, case) for question in questions])
            try:
                questions = conversation.send(replies)
            except StopIteration as end:
                found: Capabilities = end.value
                break
        self.known.learn(model, found)
        self.on_paid(case.paid)
        if not self._is_cut_short:  # by the end of the run, which says nothing of the model
            self.tell(replace(model, capabilities=found), "probed")
        self.on_known()

    async def _reply(self, model: ResolvedModel, question: Question, case: CaseContext) -> Reply | None:
        """Return the recorded reply, made now where there is none; None where the service could not answer."""
        call = self.known.call(model, question)
        recorded = self.known.find(call.key)
        if recorded is not None or self.engine is None:
            return recorded
        outcome = await self.engine.obtain(Order(call, question.body, model, case, is_probe=True))
        if isinstance(outcome, Reply):
            return outcome
        self._is_cut_short |= outcome.kind is FailureKind.NOT_RUN
        return None


def tell_of(log: Log, note: Callable[[str], None], model: ResolvedModel, origin: str) -> None:
    """Tell a run log and a person what is known of a model, and how it is asked therefore."""
    known, mode = model.capabilities, model.structured or DEFAULT_MODE
    log.write(
        "capabilities",
        endpoint=model.endpoint.name,
        model=model.name,
        origin=origin,
        mode=mode,
        json_schema=known.json_schema,
        json_object=known.json_object,
        tools=known.tools,
        logprobs=known.logprobs,
        top_logprobs=known.top_logprobs,
        alternatives=known.alternatives,
        seed=known.seed,
        n=known.n,
        stream_usage=known.stream_usage,
        left_out=list(known.left_out),
        ignored=list(known.ignored),
        limit_name=known.limit_name,
    )
    said = summary(known, mode) if known != UNKNOWN else f"nothing was found out; shapes are asked for by {mode}"
    note(f"{model.qualified}: {said}")
