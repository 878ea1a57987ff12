"""One case to one row: sample fields, truth, answer fields, then llmbatch's own columns. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import BaseModel

from llmbatch.call.failure import Failure, FailureKind
from llmbatch.call.values import Reply
from llmbatch.cassette.case import CaseContext
from llmbatch.columns import OWN_DTYPES, PREFIX, TRUTH
from llmbatch.errors import TaskError
from llmbatch.experiment.answer import Answer
from llmbatch.parse.completion import Completion, Usage, usage_of
from llmbatch.plan import Case, PlannedTask
from llmbatch.plan.variant import Variant
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


class Row(NamedTuple):
    """The row of a case: the cells, and the names of their columns, one tuple for many rows.

    `characters` is about how many are in it, where none of its cells can be reached from a task; else None.
    """

    names: tuple[str, ...]
    cells: tuple[Any, ...]
    characters: int | None = None


_row_of: Callable[[tuple[Any, ...]], Row] = partial(tuple.__new__, Row)  # a third of the time of Row(...)


class RowBuilder:
    """Builds the rows of a run; what the rows of a task with like fields have in common is worked out once."""

    __slots__ = ("_columns", "_dropped", "_fields", "_names", "_task")

    def __init__(self) -> None:
        self._task: PlannedTask | None = None
        self._fields: tuple[str, ...] = ()
        self._columns: tuple[str, ...] = ()
        self._dropped: tuple[int, ...] = ()
        self._names: tuple[str, ...] = ()

    def build(
        self,
        case: Case,
        *,
        failure: Failure | None,
        context: CaseContext | None = None,
        answers: Sequence[Answer[Any] | None] = (),
        answer: Answer[Any] | None = None,
        columns: Mapping[str, Any] = MappingProxyType({}),
        cost_usd: float | None = None,
    ) -> Row:
        """Return the row of a case.

        `answers` are all that the case was given, and `answer` the one the row speaks of (returned, else the last one
        put); `columns` are the returned value's. Raises TaskError when a returned column has the name of a sample
        field.
        """
        sample, task, variant = case.sample, case.task, case.variant
        data = sample.data
        if task is not self._task or self._fields != tuple(data) or self._columns != tuple(columns):
            self._look_at(task, variant, tuple(data), tuple(columns))
        values = list(data.values())
        for position in self._dropped:
            del values[position]
        if task.truth is not None:
            values.append(sample.truth)
        replies = () if context is None else context.replies
        model, characters = variant.model if answer is None else answer.origin.model, None
        if answer is not None and len(replies) == 1 and answer.reply is replies[0] and answer.completion is not None:
            heard = _heard(answer, answer.completion, replies[0], cost_usd)
            if columns is answer.columns:
                characters = _characters(values, answer.text)
        else:
            heard = (*(_UNSAID if answer is None else _said(answer)), *_measured(replies, answers, cost_usd))
        cells = (
            *values,
            *columns.values(),
            case.id,
            task.name,
            variant.id,
            model,
            *variant.cells,
            sample.id,
            case.repeat,
            *(_OK if failure is None else _state(failure)),
            *heard,
        )
        return _row_of((self._names, cells, characters))

    def _look_at(self, task: PlannedTask, variant: Variant, fields: tuple[str, ...], columns: tuple[str, ...]) -> None:
        """Work out the names of rows with these sample fields and answer columns. Raises TaskError."""
        taken = {*variant.names} if task.truth is None else {*variant.names, task.truth, TRUTH}
        kept = [name for name in fields if name not in taken and name not in OWN_DTYPES]
        own = (*kept, *(() if task.truth is None else (TRUTH,)))
        clashing = [name for name in columns if name in own or name.startswith(PREFIX)]
        if clashing:
            first = min(clashing)
            raise TaskError(
                f"{task.name} returned `{first}`, which is a field of the sample or a reserved name",
                place=task.place,
                fix=f"return it under another name, for instance `answer_{first}`",
            )
        self._names = (*own, *columns, *_CASE, *variant.names, *_SAMPLE, *_STATE, *_SAID, *_MEASURED)
        self._dropped = tuple(at for at in reversed(range(len(fields))) if fields[at] not in kept)
        self._task, self._fields, self._columns = task, fields, columns


_CASE = ("llmbatch_case", "llmbatch_task", "llmbatch_variant", "llmbatch_model")
_SAMPLE = ("llmbatch_sample", "llmbatch_repeat")
_STATE = ("llmbatch_status", "llmbatch_error_kind", "llmbatch_error")
_OK: tuple[Any, ...] = ("ok", None, None)


def _state(failure: Failure) -> tuple[Any, ...]:
    return str(failure.kind), failure.detail or str(failure.kind), failure.message


_SAID = (
    "llmbatch_text",
    "llmbatch_finish_reason",
    "llmbatch_mode",
    "llmbatch_reading",
    "llmbatch_normalised",
    "llmbatch_served_model",
    "llmbatch_fingerprint",
    "llmbatch_prompt_fingerprint",
    "llmbatch_parameters",
)
_UNSAID = (None,) * len(_SAID)
"""The same columns where nothing was said, so that a run in which nothing was has the columns of every other."""


def _characters(values: Sequence[Any], text: str) -> int | None:
    """Return about how many characters the cells of a sample and of what a reply says are; None for nested samples."""
    characters = 2 * len(text)  # as the text, and as columns
    for value in values:
        if type(value) is str:
            characters += len(value)
        elif type(value) is list or type(value) is dict:
            return None
    return characters


def _heard(answer: Answer[Any], completion: Completion, reply: Reply, cost_usd: float | None) -> tuple[Any, ...]:
    """Return what `_said` and `_measured` do for a case that asked one thing, as most do."""
    _, mode, parameters, prompt_fingerprint = answer.origin
    request_ids = reply.headers.get("x-request-id")
    how, normalised, reasks = answer.reading
    return (
        answer.text or None,
        completion.finish_reason,
        mode,
        how,
        normalised,
        completion.served_model,
        completion.fingerprint,
        prompt_fingerprint,
        _parameters_text(parameters),
        *(completion.usage or _UNCOUNTED),
        cost_usd,
        1,
        reasks,
        request_ids[0] if request_ids else None,
        reply.recorded_at,
        reply.taken_us,
    )


def _said(answer: Answer[Any]) -> tuple[Any, ...]:
    origin, completion = answer.origin, answer.completion
    finish_reason = served_model = fingerprint = None
    if completion is not None:
        finish_reason, served_model, fingerprint = (
            completion.finish_reason,
            completion.served_model,
            completion.fingerprint,
        )
    return (
        answer.text or None,
        finish_reason,
        origin.mode,
        *answer.reading[:2],
        served_model,
        fingerprint,
        origin.prompt_fingerprint,
        _parameters_text(origin.parameters),
    )


_last_text: tuple[Mapping[str, Any] | None, str] = None, ""


def _parameters_text(parameters: Mapping[str, Any]) -> str:
    """Return the parameters as JSON text; those of many answers are one and the same mapping."""
    global _last_text  # noqa: PLW0603 - replaced in one step, so that threads may share it
    known, text = _last_text
    if known is not parameters:
        text = canonical_json(dict(parameters)).decode()
        _last_text = parameters, text
    return text


_MEASURED = (
    "llmbatch_tokens_in",
    "llmbatch_tokens_out",
    "llmbatch_tokens_cached",
    "llmbatch_tokens_reasoning",
    "llmbatch_cost_usd",
    "llmbatch_asks",
    "llmbatch_reasks",
    "llmbatch_request_id",
    "llmbatch_recorded_at",
    "llmbatch_taken_us",
)
_UNCOUNTED = (None, None, None, None)
_UNMEASURED: tuple[Any, ...] = (*_UNCOUNTED, None, 0, 0, None, None, None)


def _measured(
    replies: Sequence[Reply], answers: Sequence[Answer[Any] | None], cost_usd: float | None
) -> tuple[Any, ...]:
    if not replies:
        return (*_UNCOUNTED, cost_usd, *_UNMEASURED[5:])
    last, taken_us = replies[0], replies[0].taken_us
    if len(replies) > 1:
        # the latest by its own clock: the order in which gathered asks ended is not the replay's
        last = max(replies, key=lambda reply: reply.recorded_at)
        taken_us = sum([reply.taken_us for reply in replies])
    request_ids = last.headers.get("x-request-id")
    return (
        *_tokens(replies, answers),
        cost_usd,
        len(replies),
        sum([answer.reading.reasks for answer in answers if answer is not None]),
        request_ids[0] if request_ids else None,
        last.recorded_at,
        taken_us,
    )


def _tokens(replies: Sequence[Reply], answers: Sequence[Answer[Any] | None]) -> Usage | tuple[None, None, None, None]:
    """Return the sums of tokens over the replies that have a count.

    The counts of replies that became answers are read already.
    """
    read = {
        id(answer.reply): answer.completion.usage
        for answer in answers
        if answer is not None and answer.completion is not None
    }
    found = [usage for reply in replies if (usage := read.get(id(reply)) or usage_of(reply.body)) is not None]
    return Usage(*map(sum, zip(*found, strict=True))) if found else _UNCOUNTED


NOT_RUN = Failure(FailureKind.NOT_RUN, "the run ended before this case")
