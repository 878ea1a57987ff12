"""Columns that cannot stand beside each other in a row, found before anything is asked. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from llmbatch.columns import OWN_DTYPES, PREFIX, TRUTH
from llmbatch.errors import TaskError
from llmbatch.experiment.words import Task


def check_columns(
    task: Task[..., Any],
    sample_fields: Sequence[str],
    answer_columns: Iterable[str] | None,
    parameter_names: Iterable[str],
) -> None:
    """Raise TaskError for two columns of one name, as far as that is known before the first call.

    `answer_columns` None: the task's annotations do not say, and its rows are checked when they are made.
    """
    for name in parameter_names:
        if PREFIX + name in OWN_DTYPES and name != "model":
            raise TaskError(
                f"{task.name} is parametrised by `{name}`, and {PREFIX}{name} is every row's column",
                place=task.place,
                reserved=", ".join(name.removeprefix(PREFIX) for name in OWN_DTYPES),
                fix=f"rename it, for instance `{task.name}_{name}`",
            )
    fields = [name for name in sample_fields if name != task.truth]
    _check_reserved(task, fields, "a field of the samples")
    if task.truth is not None and TRUTH in fields:
        raise TaskError(
            f"the samples of {task.name} have a field `{TRUTH}`, and its truth is `{task.truth}`",
            place=task.place,
            fix=f"rename the field, or declare truth={TRUTH!r}",
        )
    answers = list(answer_columns or ())
    _check_reserved(task, answers, "a field of the answer")
    taken = [*fields, TRUTH] if task.truth is not None else fields
    for name in answers:
        if name in taken:
            whose = "a field of the samples" if name in fields else "the truth's column"
            raise TaskError(
                f"`{name}` is a field of the answer of {task.name} and {whose}",
                place=task.place,
                fix=f"rename it in the answer's class, for instance `answer_{name}`",
            )


def _check_reserved(task: Task[..., Any], names: Iterable[str], what: str) -> None:
    for name in names:
        if name.startswith(PREFIX):
            raise TaskError(
                f"`{name}` is {what} of {task.name}, and the prefix {PREFIX} is reserved",
                place=task.place,
                fix=f"rename it to `{name.removeprefix(PREFIX) or 'field'}`",
            )
