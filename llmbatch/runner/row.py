"""One case to one row: sample fields, truth, answer fields, then llmbatch's own columns. Pure."""

from __future__ import annotations

from collections.abc import Mapping
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
from llmbatch.plan import Case
from llmbatch.samples.values import NotJsonLikeError, canonical_json, json_like
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
    answer: Answer[Any] | None = None,
    columns: Mapping[str, Any] = MappingProxyType({}),
    cost_usd: float | None = None,
) -> dict[str, Any]:
    """Return the row of a case.

    `answer` is the one the row speaks of (returned, else the last one put); `columns` are the returned
    value's. Raises TaskError when a returned column has the name of a sample field.
    """
    row = dict(case.sample.data)
    task = case.task
    if task.truth is not None:
        row.pop(task.truth, None)
        row["truth"] = case.sample.truth
    clash = sorted(name for name in columns if name in row or name.startswith("llmbatch_"))
    if clash:
        raise TaskError(
            f"{task.name} returned `{clash[0]}`, which is a field of the sample or a reserved name",
            place=task.place,
            fix=f"return it under another name, for instance `answer_{clash[0]}`",
        )
    row.update(columns)
    row.update(_identity(case))
    row.update(_state(failure))
    row.update(_said(answer))
    row.update(_measured(context, cost_usd))
    return row


def _identity(case: Case) -> dict[str, Any]:
    values = {f"llmbatch_{name}": _text(value) for name, value in case.variant.values.items() if name != "model"}
    return {
        "llmbatch_case": case.id,
        "llmbatch_task": case.task.name,
        "llmbatch_variant": case.variant.id,
        "llmbatch_model": case.variant.model,
        **values,
        "llmbatch_sample": case.sample.id,
        "llmbatch_repeat": case.repeat,
    }


def _text(value: object) -> object:
    """Return a parametrised value as a cell that is the same in every process: no address, no set order."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    name = getattr(value, "__name__", None)
    if isinstance(name, str):
        return name
    try:
        return canonical_json(json_like(value)).decode()
    except NotJsonLikeError:
        return type(value).__name__


def _state(failure: Failure | None) -> dict[str, Any]:
    if failure is None:
        return {"llmbatch_status": "ok", "llmbatch_error_kind": None, "llmbatch_error": None}
    return {
        "llmbatch_status": str(failure.kind),
        "llmbatch_error_kind": failure.detail or str(failure.kind),
        "llmbatch_error": failure.message,
    }


def _said(answer: Answer[Any] | None) -> dict[str, Any]:
    if answer is None:
        return dict(_UNSAID)
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


def _measured(context: CaseContext | None, cost_usd: float | None) -> dict[str, Any]:
    replies: list[Reply] = context.replies if context is not None else []
    usages = [usage for reply in replies if (usage := usage_of(reply.body)) is not None]
    # the latest by its own clock: the order in which gathered asks ended is not the replay's
    last = max(replies, key=lambda reply: reply.recorded_at) if replies else None
    return {
        "llmbatch_tokens_in": sum(usage.tokens_in for usage in usages) if usages else None,
        "llmbatch_tokens_out": sum(usage.tokens_out for usage in usages) if usages else None,
        "llmbatch_cost_usd": cost_usd,
        "llmbatch_asks": len(replies),
        "llmbatch_request_id": last.header("x-request-id") if last else None,
        "llmbatch_recorded_at": last.recorded_at if last else None,
        "llmbatch_taken_us": sum(reply.taken_us for reply in replies) if replies else None,
    }


NOT_RUN = Failure(FailureKind.NOT_RUN, "the run ended before this case")
