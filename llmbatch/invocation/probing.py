"""The probes of a run: those that its cassette has, and those that are made before the first question to a model.

What a model can do is a function of the configuration and of the probe's replies in the cassette. A probe is made
where a question has no answer, the model may be called, and the cassette has no answer of it: so it never moves the key
of anything that is recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import orjson

from llmbatch.call.values import Call, Reply
from llmbatch.capability.probe import probe
from llmbatch.capability.questions import Question
from llmbatch.capability.words import summary
from llmbatch.cassette.case import PROBE, CaseContext, RunAgain
from llmbatch.cassette.line import decode
from llmbatch.cassette.store import Store
from llmbatch.cassette.upkeep.addressee import model_of
from llmbatch.config import UNKNOWN, Capabilities, ResolvedModel
from llmbatch.engine.protocol import Engine, Order
from llmbatch.runlog import Log, NoLog

DEFAULT_MODE = "json_schema"

_Service = tuple[str, bytes]
"""Where a model is asked, and the first question that is put to it: with it all that the configuration adds."""


@dataclass(slots=True)
class Probes:
    """What is known of the models of a run. `find` looks up an answer, whatever else a look-up of the store may mean.

    `may_probe` says that probes may be made, if not by this object: a dry run tells of them only. `engine` is what
    makes them, `on_known` hears when more is known of a model than before, `paid` of the answers that were paid for.
    """

    store: Store
    find: Callable[[bytes], Reply | None]
    may_probe: bool
    engine: Engine | None = None
    on_known: Callable[[], None] = lambda: None
    paid: Callable[[int], None] = lambda answers: None
    _log: Log = field(default_factory=NoLog)
    _note: Callable[[str], None] | None = None
    _known: dict[_Service, Capabilities] = field(default_factory=dict)
    _to_be_probed: dict[_Service, bool] = field(default_factory=dict)
    _untold: list[tuple[ResolvedModel, str]] = field(default_factory=list)
    _wanted: dict[_Service, ResolvedModel] = field(default_factory=dict)
    _making: dict[_Service, asyncio.Task[None]] = field(default_factory=dict)
    _services: dict[int, tuple[ResolvedModel, _Service]] = field(default_factory=dict)

    # what the cassette knows ---------------------------------------------------------------------------------

    def informed(self, model: ResolvedModel) -> ResolvedModel:
        """Return the model with what is known of it, and with whether it is still to be probed.

        What is recorded is looked up whatever is configured: a probe is in use as long as its model is.
        """
        known = self._known.get(self._service(model))
        if known is not None:
            return replace(model, capabilities=known)
        known, is_whole = self._recorded(model)
        if not model.wants_probe:
            return model
        model = replace(model, capabilities=known, is_unprobed=not is_whole and self.may_probe and model.can_call)
        if known != UNKNOWN and not model.is_unprobed:
            self._tell(model, "recorded")
        return model

    def begin_to_tell(self, log: Log, note: Callable[[str], None]) -> None:
        """Tell a run log and a person what is known, now and from now on."""
        self._log, self._note = log, note
        untold, self._untold = self._untold, []
        for model, origin in untold:
            self._tell(model, origin)

    def is_to_be_probed(self, model: ResolvedModel) -> bool:
        """Whether a probe comes before the first question to an unprobed model: the cassette has no answer of it."""
        service = self._service(model)
        decided = self._to_be_probed.get(service)
        if decided is None:
            decided = self._to_be_probed[service] = not self._has_answers(model)
        return decided

    def questions_of(self, model: ResolvedModel) -> list[tuple[Call, bytes]]:
        """Return the calls of a probe that has none recorded, as far as they are known before it is made."""
        conversation, found = probe(model.name, model.defaults), []
        questions = next(conversation)
        while questions:
            found += [(self._call(model, question), question.body) for question in questions]
            try:
                questions = conversation.send([_ACCEPTED] * len(questions))
            except StopIteration:
                break
        return found

    def _recorded(self, model: ResolvedModel) -> tuple[Capabilities, bool]:
        """Return what the recorded replies of a probe say, and whether there is one to each of its questions."""
        conversation, is_whole = probe(model.name, model.defaults), True
        questions = next(conversation)
        while True:
            replies = [self.find(self._call(model, question).key) for question in questions]
            is_whole = is_whole and None not in replies
            try:
                questions = conversation.send(replies)
            except StopIteration as end:
                return end.value, is_whole

    def _has_answers(self, model: ResolvedModel) -> bool:
        """Whether anything is recorded that `ask` was answered by the model, but for probes of it."""
        name = orjson.dumps(orjson.dumps({"model": model.name})[1:-1].decode())[1:-1]
        url = self._call(model, Question("", b"{}")).request.url
        for line in self.store.texts():
            if name in line and (b',"case":"' + PROBE.encode()) not in line:
                request = decode(line).call.request
                if request.url == url and model_of(request.body) == model.name:
                    return True
        return False

    # what is found out in this run ---------------------------------------------------------------------------

    def before_question(self, model: ResolvedModel, case: CaseContext) -> None:
        """Hear of a question without an answer to an unprobed model. Raises RunAgain where a probe comes before it."""
        service = self._service(model)
        if service not in self._known:
            if not self.is_to_be_probed(model):
                return
            if service not in self._making:
                self._wanted[service] = model
        if not case.rehearsal:
            case.abandoned = True
            raise RunAgain

    async def made(self) -> None:
        """Wait until the models that were asked for are probed. Raises what must end the run."""
        wanted, self._wanted = self._wanted, {}
        for service, model in wanted.items():
            self._making[service] = asyncio.ensure_future(self._make(service, model))
        if self._making:
            await asyncio.wait(self._making.values())
        for making in self._making.values():
            making.result()

    async def _make(self, service: _Service, model: ResolvedModel) -> None:
        case = CaseContext(f"{PROBE}{model.qualified}", 0)
        conversation = probe(model.name, model.defaults)
        questions: Sequence[Question] = next(conversation)
        while True:
            replies = await asyncio.gather(*[self._reply(model, question, case) for question in questions])
            try:
                questions = conversation.send(replies)
            except StopIteration as end:
                known: Capabilities = end.value
                break
        self._known[service] = known
        self.paid(case.paid)
        self._tell(replace(model, capabilities=known), "probed")
        self.on_known()

    async def _reply(self, model: ResolvedModel, question: Question, case: CaseContext) -> Reply | None:
        """Return the recorded reply, made now where there is none; None where the service could not answer."""
        call = self._call(model, question)
        recorded = self.find(call.key)
        if recorded is not None or self.engine is None:
            return recorded
        outcome = await self.engine.obtain(Order(call, question.body, model, case, is_probe=True))
        return outcome if isinstance(outcome, Reply) else None

    def _service(self, model: ResolvedModel) -> _Service:
        kept = self._services.get(id(model))
        if kept is None:
            service = model.chat_url, next(probe(model.name, model.defaults))[0].body
            kept = self._services[id(model)] = (model, service)
        return kept[1]

    def _call(self, model: ResolvedModel, question: Question) -> Call:
        address = self.store.address("POST", model.chat_url, model.key_headers)
        return self.store.call(address.request(question.body), 0, question.draw)

    def _tell(self, model: ResolvedModel, origin: str) -> None:
        if self._note is None:
            self._untold.append((model, origin))
            return
        known, mode = model.capabilities, model.structured or DEFAULT_MODE
        self._log.write(
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
        self._note(f"{model.qualified}: {said}")


_ACCEPTED = Reply(
    200, "OK", {}, b'{"choices":[{"message":{"role":"assistant","content":"one"},"finish_reason":"length"}]}'
)
"""What lets a probe go on to all of its questions."""
