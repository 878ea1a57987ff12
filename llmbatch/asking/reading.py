"""From a recorded reply to an Answer: the only place where asking meets parsing. Never raises for a bad answer."""

from __future__ import annotations

from typing import Any

from llmbatch.asking.question import Question
from llmbatch.call.failure import Failure
from llmbatch.call.values import Reply
from llmbatch.experiment.answer import Answer
from llmbatch.parse.completion import Completion, read_completion
from llmbatch.parse.structured import columns_of, parse_answer
from llmbatch.policy import verdict_of_reply


def answer_of(question: Question, reply: Reply) -> Answer[Any]:
    """Read the reply as an answer of the question's shape; what is wrong with it becomes its failure."""
    if reply.status >= 400:
        verdict = verdict_of_reply(reply, url=question.call.request.url)
        assert verdict.kind is not None
        return _build(question, None, reply, Failure(verdict.kind, verdict.message, f"http_{reply.status}"))
    completion = read_completion(reply.body, reply.header("content-type"))
    if isinstance(completion, Failure):
        return _build(question, None, reply, completion)
    parsed = parse_answer(question.shape, completion, question.mode)
    if isinstance(parsed, Failure):
        return _build(question, completion, reply, parsed)
    columns = columns_of(parsed.value, question.shape)
    return _build(question, completion, reply, None, value=parsed.value, columns=columns)


def unanswered(question: Question, failure: Failure) -> Answer[Any]:
    """Return the answer of a question that has no reply."""
    return _build(question, None, None, failure)


def _build(
    question: Question,
    completion: Completion | None,
    reply: Reply | None,
    failure: Failure | None,
    *,
    value: Any = None,
    columns: dict[str, Any] | None = None,
) -> Answer[Any]:
    messages: list[Any] = list(question.messages)
    if completion is not None:
        messages.append(completion.message)
    return Answer(
        value=value,
        failure=failure,
        columns=columns if columns is not None else dict.fromkeys(question.shape.fields),
        text=(completion.text or completion.refusal or "") if completion is not None else "",
        messages=messages,
        model=question.model.text,
        mode=question.mode,
        parameters=question.parameters,
        prompt_fingerprint=question.prompt_fingerprint,
        finish_reason=completion.finish_reason if completion is not None else None,
        served_model=completion.served_model if completion is not None else None,
        fingerprint=completion.fingerprint if completion is not None else None,
        tokens=_tokens(completion),
        reply=reply,
    )


def _tokens(completion: Completion | None) -> dict[str, int]:
    if completion is None or completion.usage is None:
        return {}
    return {"in": completion.usage.tokens_in, "out": completion.usage.tokens_out}
