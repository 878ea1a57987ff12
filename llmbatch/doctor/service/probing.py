"""What a model can do, asked for on the spot: the questions of a run's probe, a line for each fact. Records nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from llmbatch.call.values import Reply
from llmbatch.capability.probe import probe
from llmbatch.capability.questions import Question
from llmbatch.capability.words import rows
from llmbatch.config import UNKNOWN, Capabilities
from llmbatch.doctor.service.asking import Asking, Unanswered
from llmbatch.doctor.service.step import Step
from llmbatch.doctor.service.subject import Subject


async def probed(subject: Subject, asking: Asking) -> AsyncIterator[Step]:
    """Yield each fact, and how shapes would be asked for by a run that knows no others."""
    model = subject.model
    known = await _found_out(subject, asking)
    if known == UNKNOWN:
        yield Step("probe", "note", "nothing was found out: the first question was not answered", "try again later")
        return
    for row in rows(known):
        yield Step("probe", "ok" if row.state == "yes" else "note", f"{row.name}: {row.state} ({row.said})")
    mode = replace(model, capabilities=known).structured
    configured = model.settings.structured or model.endpoint.structured
    why = "as the configuration says" if configured else "the best that is known to work"
    yield Step("probe", "ok", f"shapes are asked for by {mode}, {why}")


async def _found_out(subject: Subject, asking: Asking) -> Capabilities:
    conversation = probe(subject.model.name, subject.model.defaults)
    questions: Sequence[Question] = next(conversation)
    while True:
        replies = await asyncio.gather(*[_reply(asking, question) for question in questions])
        try:
            questions = conversation.send(replies)
        except StopIteration as end:
            found: Capabilities = end.value
            return found


async def _reply(asking: Asking, question: Question) -> Reply | None:
    try:
        return await asking.put(question.body)
    except Unanswered:
        return None
