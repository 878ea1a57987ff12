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
from llmbatch.errors import TaskError
from llmbatch.experiment.answer import Answer
from llmbatch.parse.completion import usage_of
from llmbatch.plan import Case, PlannedTask
from llmbatch.samples.values import canonical_json
from llmbatch.tables.cells import cell_of


def columns_of_return(value: object) -> dict[str, Any]:
    """Turn what a task returned into columns. Raises TaskError for a value that has none."""
    match value:
        case Answer():
            return dict(value.columns)
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
    row = dict(case.sample.data)
    task = case.task
    if task.truth is not None:
        row.pop(task.truth, None)
        row["truth"] = case.sample.truth
    for name in columns:
        if name in row or name.startswith("llmbatch_"):
            raise _clash(task, row, columns)
    row.update(columns)
    row["llmbatch_case"] = case.id
    row["llmbatch_task"] = task.name
    row.update(case.variant.columns)
    row["llmbatch_sample"] = case.sample.id
    row["llmbatch_repeat"] = case.repeat
    row.update(_OK if failure is None else _state(failure))
    row.update(_UNSAID if answer is None else _said(answer))
    row.update(_measured([] if context is None else context.replies, answers, cost_usd))
    return row


def _clash(task: PlannedTask, row: Mapping[str, Any], columns: Mapping[str, Any]) -> TaskError:
    first = min(name for name in columns if name in row or name.startswith("llmbatch_"))
    return TaskError(
        f"{task.name} returned `{first}`, which is a field of the sample or a reserved name",
        place=task.place,
        fix=f"return it under another name, for instance `answer_{first}`",
    )


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
        "llmbatch_parameters": canonical_json(dict(answer.parameters)).decode(),
    }


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
        return _UNMEASURED if cost_usd is None else {**_UNMEASURED, "llmbatch_cost_usd": cost_usd}
    tokens_in, tokens_out = _tokens(replies, answers)
    # the latest by its own clock: the order in which gathered asks ended is not the replay's
    last = replies[0] if len(replies) == 1 else max(replies, key=lambda reply: reply.recorded_at)
    return {
        "llmbatch_tokens_in": tokens_in,
        "llmbatch_tokens_out": tokens_out,
        "llmbatch_cost_usd": cost_usd,
        "llmbatch_asks": len(replies),
        "llmbatch_request_id": last.header("x-request-id"),
        "llmbatch_recorded_at": last.recorded_at,
        "llmbatch_taken_us": sum([reply.taken_us for reply in replies]),
    }


def _tokens(replies: Sequence[Reply], answers: Sequence[Answer[Any] | None]) -> tuple[int, int] | tuple[None, None]:
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
