"""From a recorded reply to an Answer: the only place where asking meets parsing. Never raises for a bad answer."""

from __future__ import annotations

from typing import Any

from llmbatch.asking.question import Manner, Question
from llmbatch.asking.scoring import Scored
from llmbatch.asking.tool_turns import MOST_TOOL_TURNS, calls_in
from llmbatch.call.failure import Failure, FailureKind
from llmbatch.call.values import Reply
from llmbatch.experiment.answer import Answer, Reading, ScoredAnswer
from llmbatch.parse.completion import Completion, Usage, other_completions, read_completion, usage_of
from llmbatch.parse.extract import shortened
from llmbatch.parse.structured import Parsed, columns_of, parse_answer
from llmbatch.parse.tool_answer import answered_by_tool
from llmbatch.policy import verdict_of_reply

# what is said of most answers, made once
_PLAIN = {how: Reading(how) for how in ("exact", "fenced", "embedded", "repaired", "word", "text")}


def answer_of(question: Question, reply: Reply) -> tuple[Answer[Any], Usage | None]:
    """Read the reply as an answer of the question's shape; what is wrong with it becomes its failure.

    The second is what the service counted, None where it did not.
    """
    if reply.status >= 400:
        verdict = verdict_of_reply(reply, url=question.manner.address.url)
        assert verdict.kind is not None
        failure = Failure(verdict.kind, verdict.message, f"http_{reply.status}")
        return failed_answer(question, failure, reply=reply), usage_of(reply.body)
    body = reply.body
    # a body that is an object is no stream, whatever its content type says
    completion = read_completion(body, None if body[:1] == b"{" else reply.header("content-type"))
    if isinstance(completion, Failure):
        return failed_answer(question, completion, reply=reply), usage_of(body)
    manner = question.manner
    parsed: Parsed[Any] | Failure | None = None
    if completion.tool_calls:
        parsed = _called(manner, completion) if manner.tools else None
        if parsed is None and manner.mode == "tool":
            completion = answered_by_tool(completion, manner.shape.name)
    parsed = parsed or parse_answer(manner.shape, completion, manner.mode)
    if isinstance(parsed, Failure):
        return failed_answer(question, parsed, completion, reply), completion.usage
    value, how, normalised = parsed
    columns, text = columns_of(value, manner.shape), completion.text or completion.refusal or ""
    plain = not normalised and not question.reasked
    reading = _PLAIN[how] if plain else Reading(how, normalised or None, question.reasked)
    if manner.scoring is not None:
        scores = Scored(manner.scoring.where_asked_again(question.reasks), reply, text)
        columns = {**columns, **scores.columns}
        scored = ScoredAnswer(
            value, None, columns, text, question.messages, completion, question.origin, reply, reading
        )
        scored.scores = scores
        return scored, completion.usage
    answer = Answer(value, None, columns, text, question.messages, completion, question.origin, reply, reading)
    return answer, completion.usage


def other_answers(question: Question, reply: Reply) -> list[Answer[Any]]:
    """Return what the choices after the first say, by the same rules. They have no probabilities."""
    manner = question.manner
    answers: list[Answer[Any]] = []
    for said in other_completions(reply.body, reply.header("content-type")) if reply.status < 400 else ():
        by_tool = manner.mode == "tool" and said.tool_calls
        completion = answered_by_tool(said, manner.shape.name) if by_tool else said
        parsed = parse_answer(manner.shape, completion, manner.mode)
        if isinstance(parsed, Failure):
            answers.append(failed_answer(question, parsed, completion, reply))
            continue
        value, how, normalised = parsed
        columns, text = columns_of(value, manner.shape), completion.text or ""
        reading = Reading(how, normalised or None, question.reasked)
        answers.append(
            Answer(value, None, columns, text, question.messages, completion, question.origin, reply, reading)
        )
    return answers


def unanswered(question: Question, failure: Failure) -> Answer[Any]:
    """Return the answer of a question that has no reply."""
    return failed_answer(question, failure)


def _called(manner: Manner, completion: Completion) -> Failure | None:
    """Return that a model has called functions before it answers; None where it has not."""
    names = [str(call["function"].get("name")) for call in calls_in(manner, completion)]
    if not names or completion.refusal or completion.finish_reason == "content_filter":
        return None
    called = shortened(", ".join(dict.fromkeys(names)), 200)
    if completion.finish_reason == "length":
        return Failure(FailureKind.TRUNCATED, f"the answer was cut at max_tokens in a call of {called}", "length")
    return Failure(FailureKind.TOOL_CALLS, f"the model called {called}")


def with_limit_told(question: Question, answer: Answer[Any]) -> Answer[Any]:
    """Return the answer after the last turn of calls that is allowed: one that calls still is none."""
    if answer.failure is not FailureKind.TOOL_CALLS or not calls_in(question.manner, answer.completion):
        return answer
    said = f"{answer.failure_message}, after {MOST_TOOL_TURNS} turns of calls, and gave no answer"
    return failed_answer(question, Failure(FailureKind.TOOL_CALLS, said, "turns"), answer.completion, answer.reply)


def failed_answer(
    question: Question, failure: Failure, completion: Completion | None = None, reply: Reply | None = None
) -> Answer[Any]:
    """Return the answer of a question that has none, with what was said in its place."""
    text = "" if completion is None else completion.text or completion.refusal or ""
    columns = dict.fromkeys(question.manner.shape.fields)
    reading = Reading(reasks=question.reasked)
    if (scoring := question.manner.scoring) is not None:
        columns |= scoring.columns(None)
        scored = ScoredAnswer[Any](
            None, failure, columns, text, question.messages, completion, question.origin, reply, reading
        )
        scored.scores = None
        return scored
    return Answer(None, failure, columns, text, question.messages, completion, question.origin, reply, reading)
