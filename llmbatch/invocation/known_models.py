"""What a run knows of its models: by the probes that its cassette has, and by those that it has made.

What a model can do is a function of the configuration and of the replies of its probe in the cassette.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from llmbatch.call.values import Call, Reply
from llmbatch.capability.probe import probe
from llmbatch.capability.questions import Question, added_to_all
from llmbatch.cassette.store import Store
from llmbatch.config import UNKNOWN, Capabilities, ResolvedModel
from llmbatch.invocation.asked_before import was_asked

Service = tuple[str, bytes]
"""Where a model is asked, and the first question that is put to it: with it all that the configuration adds."""


@dataclass(slots=True)
class KnownModels:
    """Adds what is known to resolved models. `find` looks up an answer, whatever else a look-up of the store may mean.

    `may_probe` says that a model of which nothing is recorded may be probed before its first question.
    """

    store: Store
    find: Callable[[bytes], Reply | None]
    may_probe: bool
    _learned: dict[Service, Capabilities] = field(default_factory=dict)
    _to_be_probed: dict[Service, bool] = field(default_factory=dict)
    _services: dict[int, tuple[ResolvedModel, Service]] = field(default_factory=dict)
    _tell: Callable[[ResolvedModel], None] | None = None
    _untold: list[ResolvedModel] = field(default_factory=list)
    _recorded_before: int = 0

    def __post_init__(self) -> None:
        self._recorded_before = len(self.store)

    def informed(self, model: ResolvedModel) -> ResolvedModel:
        """Return the model with what is known of it, and with whether it is still to be probed.

        What is recorded is looked up whatever is configured: a probe is in use as long as its model is.
        """
        learned = self._learned.get(self.service(model))
        if learned is not None:
            return replace(model, capabilities=learned)
        known, is_whole = self._recorded(model)
        if model.probe_said is False:
            return model
        may_probe = self.may_probe and model.wants_probe and model.can_call
        model = replace(model, capabilities=known, is_unprobed=may_probe and not is_whole)
        if known != UNKNOWN and not model.is_unprobed:
            self._untold.append(model)
            self._tell_all()
        return model

    def begin_to_tell(self, tell: Callable[[ResolvedModel], None]) -> None:
        """Tell of each model that has a recorded probe, now and from now on."""
        self._tell = tell
        self._tell_all()

    def learn(self, model: ResolvedModel, known: Capabilities) -> None:
        """Know this of the model from now on."""
        self._learned[self.service(model)] = known

    def has_learned(self, model: ResolvedModel) -> bool:
        """Whether a probe of the model was made in this run."""
        return self.service(model) in self._learned

    def is_to_be_probed(self, model: ResolvedModel) -> bool:
        """Whether a probe comes before the first question to an unprobed model: the cassette has no answer of it.

        So a probe never moves the key of anything that is recorded.
        """
        service = self.service(model)
        decided = self._to_be_probed.get(service)
        if decided is None:
            decided = self._to_be_probed[service] = not self._has_answers(model)
        return decided

    def missing_questions(self, model: ResolvedModel) -> list[tuple[Call, bytes]]:
        """Return the calls of the model's probe that have no reply, with their bytes, of a model that takes all."""
        conversation, missing = probe(model.name, model.defaults), []
        questions = next(conversation)
        while True:
            calls = [(self.call(model, question), question.body) for question in questions]
            missing += [(call, body) for call, body in calls if self.find(call.key) is None]
            try:
                questions = conversation.send([_ACCEPTED] * len(questions))
            except StopIteration:
                return missing

    def service(self, model: ResolvedModel) -> Service:
        """Return what tells a model, asked as it is configured, from every other."""
        kept = self._services.get(id(model))
        if kept is None:
            first = next(probe(model.name, model.defaults))[0]
            kept = self._services[id(model)] = (model, (model.chat_url, first.body))
        return kept[1]

    def call(self, model: ResolvedModel, question: Question) -> Call:
        """Return the call of a question."""
        address = self.store.address("POST", model.chat_url, model.key_headers)
        return self.store.call(address.request(question.body), 0, question.draw)

    def _recorded(self, model: ResolvedModel) -> tuple[Capabilities, bool]:
        """Return what the recorded replies of a probe say, and whether there is one to each of its questions."""
        conversation, is_whole = probe(model.name, model.defaults), True
        questions = next(conversation)
        while True:
            replies = [self.find(self.call(model, question).key) for question in questions]
            is_whole = is_whole and None not in replies
            try:
                questions = conversation.send(replies)
            except StopIteration as end:
                return end.value, is_whole

    def _has_answers(self, model: ResolvedModel) -> bool:
        """Whether anything is recorded that the model was asked as it is configured, but for probes of it.

        What this run has recorded does not count: that would be what a task asked by itself before it came to `ask`.
        """
        url = self.call(model, Question("", b"{}")).request.url

        def earlier() -> Iterator[bytes]:
            return islice(self.store.texts(), self._recorded_before)

        return was_asked(earlier, url, model.name, added_to_all(model.defaults))

    def _tell_all(self) -> None:
        if self._tell is not None:
            while self._untold:
                self._tell(self._untold.pop(0))


_ACCEPTED = Reply(
    200, "OK", {}, b'{"choices":[{"message":{"role":"assistant","content":"one"},"finish_reason":"length"}]}'
)
"""What lets a probe go on to all of its questions."""
