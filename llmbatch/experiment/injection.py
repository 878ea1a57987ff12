"""What a task's signature asks for, checked against what is provided. Knows no values."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llmbatch.errors import TaskError
from llmbatch.experiment.answer import Answer
from llmbatch.experiment.columns import declared_columns
from llmbatch.experiment.place import nearest
from llmbatch.experiment.words import Task

PROVIDED = ("sample", "ask", "client", "model")
"""Provided to every task, parametrised or not."""

_AWAITED_ONLY = ("ask", "client")


@dataclass(frozen=True, slots=True)
class Injection:
    """What to call a task with, by name, and what its annotations promise.

    `sample_shape` is the pydantic model that `sample` is annotated with, if any. `columns` maps each declared
    answer column to its annotation and is None where the return annotation does not say. `shapes` are what stands in
    the brackets of each `Answer[...]` there.
    """

    arguments: tuple[str, ...]
    is_async: bool
    sample_shape: type[Any] | None
    columns: dict[str, Any] | None
    shapes: tuple[Any, ...] = ()


def inspect_task(task: Task[..., Any]) -> Injection:
    """Return what the task takes. Raises TaskError for an argument that nothing provides."""
    function = task.declaration.function
    _check_kind(task, function)
    known = (*PROVIDED, *(name for name in task.parameter_names if name not in PROVIDED))
    arguments = tuple(_arguments(task, function, known))
    is_async = inspect.iscoroutinefunction(function)
    if not is_async:
        _check_sync(task, arguments)
    _check_parameters_are_taken(task, arguments)
    hints = _hints(function)
    returned = hints.get("return", Any)
    shape = _sample_shape(hints.get("sample"))
    return Injection(arguments, is_async, shape, declared_columns(returned), tuple(_answered(returned)))


def _check_kind(task: Task[..., Any], function: Callable[..., Any]) -> None:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TaskError(
            f"{task.name} yields; a task returns one answer row for one sample",
            place=task.place,
            fix="return the answer, or write one task for each question",
        )


def _arguments(task: Task[..., Any], function: Callable[..., Any], known: tuple[str, ...]) -> typing.Iterator[str]:
    for argument in inspect.signature(function).parameters.values():
        if argument.kind in {argument.VAR_POSITIONAL, argument.VAR_KEYWORD, argument.POSITIONAL_ONLY}:
            raise TaskError(
                f"{task.name} takes `{_as_written(argument)}`; arguments are given by name",
                place=task.place,
                known=", ".join(known),
                fix="name each argument, without `*`, `**` and `/`",
            )
        if argument.name in known:
            yield argument.name
        elif argument.default is argument.empty:
            raise _unknown_argument(task, argument.name, known)


def _as_written(argument: inspect.Parameter) -> str:
    if argument.kind is argument.POSITIONAL_ONLY:
        return f"{argument.name}, /"
    return f"*{argument.name}" if argument.kind is argument.VAR_POSITIONAL else f"**{argument.name}"


def _unknown_argument(task: Task[..., Any], name: str, known: tuple[str, ...]) -> TaskError:
    parametrised = task.parameter_names
    listed = [
        f"{each} (from @parametrize)" if each in parametrised and each not in PROVIDED else each for each in known
    ]
    near = nearest(name, known)
    fix = (
        f"rename the argument to `{near}`"
        if near
        else f'provide it: @parametrize("{name}", [...]), or give it a default'
    )
    return TaskError(
        f"{task.name} takes `{name}`, and nothing provides it",
        place=task.place,
        known=", ".join(listed),
        fix=fix,
    )


def _check_sync(task: Task[..., Any], arguments: tuple[str, ...]) -> None:
    for name in _AWAITED_ONLY:
        if name in arguments:
            raise TaskError(
                f"{task.name} takes `{name}`, which is awaited, and is no async function",
                place=task.place,
                fix=f"write `async def {task.name}(...)` and await what `{name}` returns",
            )


def _check_parameters_are_taken(task: Task[..., Any], arguments: tuple[str, ...]) -> None:
    for name in task.parameter_names:
        if name != "model" and name not in arguments:
            raise TaskError(
                f"{task.name} is parametrised by `{name}` and does not take it",
                place=task.place,
                arguments=", ".join(arguments) or "none",
                fix=f"add the argument `{name}`, or take the @parametrize away",
            )


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Resolve each annotation by itself, so that one that exists only for type checkers hides no other."""
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception:  # noqa: BLE001 - an annotation may be any expression, and fail in any way
        return {
            name: resolved
            for name, raw in function.__annotations__.items()
            if (resolved := _resolve(function, raw)) is not None
        }


def _resolve(function: Callable[..., Any], raw: Any) -> Any:
    def only() -> None: ...

    only.__annotations__ = {"it": raw}
    try:
        return typing.get_type_hints(only, globalns=function.__globals__, include_extras=True)["it"]
    except Exception:  # noqa: BLE001 - likewise
        return None


def _answered(annotation: Any) -> typing.Iterator[Any]:
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is Answer:
        yield arguments[0]
        return
    for argument in arguments:
        yield from _answered(argument)


def _sample_shape(annotation: Any) -> type[Any] | None:
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    is_model = isinstance(annotation, type) and hasattr(annotation, "model_validate")
    return annotation if is_model else None
