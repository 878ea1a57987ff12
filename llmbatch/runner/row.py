"""One case to one row: sample fields, truth, answer fields, then llmbatch's own columns. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from llmbatch.call.failure import Failure, FailureKind
from llmbatch.call.values import Reply
from llmbatch.cassette.case import CaseContext
from llmbatch.columns import PREFIX
from llmbatch.errors import TaskError
from llmbatch.experiment.answer import Answer
from llmbatch.parse.completion import usage_of
from llmbatch.plan import Case, PlannedTask
from llmbatch.samples.values import canonical_json
from llmbatch.tables.cells import cell_of


def columns_of_return(value: object) -> Mapping[str, Any]:
    """Turn what a task returned into columns. Raises TaskError for a value that has none."""
    if isinstance(value, Answer):  # not changed once it is made, so its columns need no copy
        return value.columns
    match value:
        case BaseModel():
            return value.model_dump(mode="json")
        case Mapping():
            return {str(name): cell_of(cell) for name, cell in value.items()}
        case None:
            return {}
        case str() | int() | float() | bool() | list():
            return {"answer": value}
        case _ if is_dataclass(value) and not isinstance(value, type):
            return {name: cell_of(cell) for name, cell in asdict(value).items()}
        case _:
            raise TaskError(
                f"a task returned a {type(value).__name__}, which has no columns",
                fix="return an answer, a pydantic model, a mapping or a scalar",
            )


def build_row(
    case: Case,
    *,
    failure: Failure | None,
    context: CaseContext | None = None,
    answers: Sequence[Answer[Any] | None] = (),
    answer: Answer[Any] | None = None,
    columns: Mapping[str, Any] = MappingProxyType({}),
    cost_usd: float | None = None,
) -> dict[str, Any]:
    """Return the row of a case.

    `answers` are all that the case was given, and `answer` the one the row speaks of (returned, else the last one
    put); `columns` are the returned value's. Raises TaskError when a returned column has the name of a sample field.
    """
    sample, task = case.sample, case.task
    fields = dict(sample.data)
    if task.truth is not None:
        fields.pop(task.truth, None)
        fields["truth"] = sample.truth
    for name in columns:
        if name in fields or name[:_PREFIX_LENGTH] == PREFIX:
            raise _clash(task, fields, columns)
    replies = () if context is None else context.replies
    return {
        **fields,
        **columns,
        "llmbatch_case": case.id,
        "llmbatch_task": task.name,
        **case.variant.columns,
        "llmbatch_sample": sample.id,
        "llmbatch_repeat": case.repeat,
        **(_OK if failure is None else _state(failure)),
        **(_UNSAID if answer is None else _said(answer)),
        **(_measured(replies, answers, cost_usd) if replies or cost_usd is not None else _UNMEASURED),
    }


def _clash(task: PlannedTask, row: Mapping[str, Any], columns: Mapping[str, Any]) -> TaskError:
    first = min(name for name in columns if name in row or name.startswith(PREFIX))
    return TaskError(
        f"{task.name} returned `{first}`, which is a field of the sample or a reserved name",
        place=task.place,
        fix=f"return it under another name, for instance `answer_{first}`",
    )


_PREFIX_LENGTH = len(PREFIX)
_OK: Mapping[str, Any] = {"llmbatch_status": "ok", "llmbatch_error_kind": None, "llmbatch_error": None}


def _state(failure: Failure) -> dict[str, Any]:
    return {
        "llmbatch_status": str(failure.kind),
        "llmbatch_error_kind": failure.detail or str(failure.kind),
        "llmbatch_error": failure.message,
    }


def _said(answer: Answer[Any]) -> dict[str, Any]:
    return {
        "llmbatch_model": answer.model,
        "llmbatch_text": answer.text or None,
        "llmbatch_finish_reason": answer.finish_reason,
        "llmbatch_mode": answer.mode,
        "llmbatch_served_model": answer.served_model,
        "llmbatch_fingerprint": answer.fingerprint,
        "llmbatch_prompt_fingerprint": answer.prompt_fingerprint,
        "llmbatch_parameters": _parameters_text(answer.parameters),
    }


_last_text: tuple[Mapping[str, Any] | None, dict[str, Any], str] = None, {}, ""


def _parameters_text(parameters: Mapping[str, Any]) -> str:
    """Return the parameters as JSON text; those of many answers are one and the same mapping."""
    global _last_text  # noqa: PLW0603 - replaced in one step, so that threads may share it
    known, content, text = _last_text
    if known is not parameters or content != parameters:
        content = dict(parameters)
        text = canonical_json(content).decode()
        _last_text = parameters, content, text
    return text


_UNSAID = dict.fromkeys(
    (
        "llmbatch_text",
        "llmbatch_finish_reason",
        "llmbatch_mode",
        "llmbatch_served_model",
        "llmbatch_fingerprint",
        "llmbatch_prompt_fingerprint",
        "llmbatch_parameters",
    )
)
"""The same columns where nothing was said, so that a run in which nothing was has the columns of every other."""


def _measured(
    replies: Sequence[Reply], answers: Sequence[Answer[Any] | None], cost_usd: float | None
) -> Mapping[str, Any]:
    if not replies:
        return {**_UNMEASURED, "llmbatch_cost_usd": cost_usd}
    last, taken_us = replies[0], replies[0].taken_us
    if len(replies) > 1:
        # the latest by its own clock: the order in which gathered asks ended is not the replay's
        last = max(replies, key=lambda reply: reply.recorded_at)
        taken_us = sum([reply.taken_us for reply in replies])
    only = answers[0] if len(replies) == len(answers) == 1 else None
    if only is not None and only.reply is last and only.tokens:
        tokens_in, tokens_out = only.tokens.get("in"), only.tokens.get("out")
    else:
        tokens_in, tokens_out = _tokens(replies, answers)
    return {
        "llmbatch_tokens_in": tokens_in,
        "llmbatch_tokens_out": tokens_out,
        "llmbatch_cost_usd": cost_usd,
        "llmbatch_asks": len(replies),
        "llmbatch_request_id": values[0] if (values := last.headers.get("x-request-id")) else None,
        "llmbatch_recorded_at": last.recorded_at,
        "llmbatch_taken_us": taken_us,
    }


def _tokens(replies: Sequence[Reply], answers: Sequence[Answer[Any] | None]) -> tuple[int | None, int | None]:
    """Return the sums of tokens in and out over the replies that have a count.

    The counts of replies that became answers are read already.
    """
    read = {id(answer.reply): answer.tokens for answer in answers if answer is not None and answer.tokens}
    tokens_in = tokens_out = counted = 0
    for reply in replies:
        tokens = read.get(id(reply))
        if tokens is None:
            usage = usage_of(reply.body)
            if usage is None:
                continue
            tokens = {"in": usage.tokens_in, "out": usage.tokens_out}
        counted += 1
        tokens_in += tokens["in"]
        tokens_out += tokens["out"]
    return (tokens_in, tokens_out) if counted else (None, None)


_UNMEASURED: Mapping[str, Any] = {
    "llmbatch_tokens_in": None,
    "llmbatch_tokens_out": None,
    "llmbatch_cost_usd": None,
    "llmbatch_asks": 0,
    "llmbatch_request_id": None,
    "llmbatch_recorded_at": None,
    "llmbatch_taken_us": None,
}


NOT_RUN = Failure(FailureKind.NOT_RUN, "the run ended before this case")
