"""From a recorded reply to an Answer: the only place where asking meets parsing. Never raises for a bad answer."""

from __future__ import annotations

from typing import Any

from llmbatch.asking.question import Question
from llmbatch.call.failure import Failure
from llmbatch.call.values import Reply
from llmbatch.experiment.answer import Answer
from llmbatch.parse.completion import Completion, Usage, read_completion, usage_of
from llmbatch.parse.structured import columns_of, parse_answer
from llmbatch.policy import verdict_of_reply


def answer_of(question: Question, reply: Reply) -> tuple[Answer[Any], Usage | None]:
    """Read the reply as an answer of the question's shape; what is wrong with it becomes its failure.

    The second is what the service counted, None where it did not.
    """
    if reply.status >= 400:
        verdict = verdict_of_reply(reply, url=question.manner.address.url)
        assert verdict.kind is not None
        failure = Failure(verdict.kind, verdict.message, f"http_{reply.status}")
        return _build(question, None, reply, failure), usage_of(reply.body)
    completion = read_completion(reply.body, reply.header("content-type"))
    if isinstance(completion, Failure):
        return _build(question, None, reply, completion), usage_of(reply.body)
    shape = question.manner.shape
    parsed = parse_answer(shape, completion, question.manner.mode)
    if isinstance(parsed, Failure):
        return _build(question, completion, reply, parsed), completion.usage
    columns = columns_of(parsed.value, shape)
    return _build(question, completion, reply, None, value=parsed.value, columns=columns), completion.usage


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
    manner = question.manner
    if columns is None:
        columns = dict.fromkeys(manner.shape.fields)
    if completion is None:
        completion = _NOTHING_SAID
        messages: list[Any] = question.messages
    else:
        messages = [*question.messages, completion.message]
    usage = completion.usage
    return Answer(
        value=value,
        failure=failure,
        columns=columns,
        text=completion.text or completion.refusal or "",
        messages=messages,
        model=manner.model.text,
        mode=manner.mode,
        parameters=manner.parameters,
        prompt_fingerprint=question.prompt_fingerprint,
        finish_reason=completion.finish_reason,
        served_model=completion.served_model,
        fingerprint=completion.fingerprint,
        tokens={} if usage is None else {"in": usage.tokens_in, "out": usage.tokens_out},
        reply=reply,
    )


_NOTHING_SAID = Completion(None, None, None, None, None, None, None, None, {})
