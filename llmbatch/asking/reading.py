"""From a recorded reply to an Answer: the only place where asking meets parsing. Never raises for a bad answer."""

from __future__ import annotations

from typing import Any

from llmbatch.asking.question import Question
from llmbatch.call.failure import Failure
from llmbatch.call.values import Reply
from llmbatch.experiment.answer import Answer
from llmbatch.parse.completion import Completion, Usage, read_completion, usage_of
from llmbatch.parse.structured import columns_of, parse_answer
from llmbatch.parse.tool_answer import answered_by_tool
from llmbatch.policy import verdict_of_reply


def answer_of(question: Question, reply: Reply) -> tuple[Answer[Any], Usage | None]:
    """Read the reply as an answer of the question's shape; what is wrong with it becomes its failure.

    The second is what the service counted, None where it did not.
    """
    if reply.status >= 400:
        verdict = verdict_of_reply(reply, url=question.manner.address.url)
        assert verdict.kind is not None
        failure = Failure(verdict.kind, verdict.message, f"http_{reply.status}")
        return _failed(question, failure, reply=reply), usage_of(reply.body)
    body = reply.body
    # a body that is an object is no stream, whatever its content type says
    completion = read_completion(body, None if body[:1] == b"{" else reply.header("content-type"))
    if isinstance(completion, Failure):
        return _failed(question, completion, reply=reply), usage_of(body)
    manner = question.manner
    if manner.mode == "tool" and completion.tool_calls:
        completion = answered_by_tool(completion, manner.shape.name)
    parsed = parse_answer(manner.shape, completion, manner.mode)
    if isinstance(parsed, Failure):
        return _failed(question, parsed, completion, reply), completion.usage
    value = parsed.value
    columns, text = columns_of(value, manner.shape), completion.text or completion.refusal or ""
    return Answer(value, None, columns, text, question.messages, completion, question.origin, reply), completion.usage


def unanswered(question: Question, failure: Failure) -> Answer[Any]:
    """Return the answer of a question that has no reply."""
    return _failed(question, failure)


def _failed(
    question: Question, failure: Failure, completion: Completion | None = None, reply: Reply | None = None
) -> Answer[Any]:
    text = "" if completion is None else completion.text or completion.refusal or ""
    columns = dict.fromkeys(question.manner.shape.fields)
    return Answer(None, failure, columns, text, question.messages, completion, question.origin, reply)
