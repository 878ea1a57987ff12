"""What a task's signature asks for, checked against what is provided. Knows no values."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from llmbatch.errors import TaskError
from llmbatch.experiment.answer import Answer
from llmbatch.experiment.columns import declared_columns
from llmbatch.experiment.fixtures import Fixture, FixtureDeclaration
from llmbatch.experiment.place import nearest
from llmbatch.experiment.words import Task

PROVIDED = ("sample", "ask", "client", "model")
"""Provided to every task, parametrised or not."""

PROVIDED_TO_FIXTURES = ("ask", "client", "model")
"""Provided to every fixture: they are shared by cases, so none has a sample."""

_AWAITED_ONLY = ("ask", "client")
_NO_FIXTURES: Mapping[str, Fixture] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Injection:
    """What to call a task with, by name, and what its annotations promise.

    `sample_shape` is the pydantic model that `sample` is annotated with, if any. `columns` maps each declared
    answer column to its annotation and is None where the return annotation does not say. `shapes` are what stands in
    the brackets of each `Answer[...]` there. `arguments` are without the `fixtures`.
    """

    arguments: tuple[str, ...]
    is_async: bool
    sample_shape: type[Any] | None
    columns: dict[str, Any] | None
    shapes: tuple[Any, ...] = ()
    fixtures: tuple[Fixture, ...] = ()


def inspect_task(task: Task[..., Any], fixtures: Mapping[str, Fixture] = _NO_FIXTURES) -> Injection:
    """Return what the task takes. Raises TaskError for an argument that nothing provides."""
    function = task.declaration.function
    _check_kind(task, function)
    _check_parameters_are_no_fixtures(task, fixtures)
    known = {name: name for name in PROVIDED}
    known |= {name: f"{name} (from @parametrize)" for name in task.parameter_names if name not in PROVIDED}
    known |= {name: f"{name} (fixture)" for name in fixtures}
    taken = tuple(_arguments(task, function, known))
    arguments = tuple(name for name in taken if name not in fixtures)
    is_async = inspect.iscoroutinefunction(function)
    if not is_async:
        _check_sync(task, arguments)
    _check_parameters_are_taken(task, arguments)
    hints = _hints(function)
    returned = hints.get("return", Any)
    return Injection(
        arguments,
        is_async,
        _sample_shape(hints.get("sample")),
        declared_columns(returned),
        tuple(_answered(returned)),
        tuple(fixtures[name] for name in taken if name in fixtures),
    )


def inspect_fixture(declared: FixtureDeclaration, others: Mapping[str, FixtureDeclaration]) -> tuple[str, ...]:
    """Return the names that a fixture takes. Raises TaskError for one that nothing provides."""
    known = {name: name for name in PROVIDED_TO_FIXTURES}
    known |= {name: f"{name} (fixture)" for name in others if name != declared.name}
    taken = tuple(_arguments(declared, declared.function, known))
    if not is_awaited(declared.function):
        _check_sync(declared, taken)
    return taken


def is_awaited(function: Callable[..., Any]) -> bool:
    """Whether a function is an async one, yielding or not."""
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _check_parameters_are_no_fixtures(task: Task[..., Any], fixtures: Mapping[str, Fixture]) -> None:
    for name in task.parameter_names:
        if name in fixtures:
            raise TaskError(
                f"{task.name} is parametrised by `{name}`, which is a fixture too",
                place=task.place,
                fixture=fixtures[name].place,
                fix="rename one of them",
            )


def _check_kind(task: Task[..., Any], function: Callable[..., Any]) -> None:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TaskError(
            f"{task.name} yields; a task returns one answer row for one sample",
            place=task.place,
            fix="return the answer, or write one task for each question",
        )


def _arguments(
    declared: Task[..., Any] | FixtureDeclaration, function: Callable[..., Any], known: Mapping[str, str]
) -> typing.Iterator[str]:
    """Yield the names of the arguments; `known` are those that are provided, as they are shown."""
    for argument in inspect.signature(function).parameters.values():
        if argument.kind in {argument.VAR_POSITIONAL, argument.VAR_KEYWORD, argument.POSITIONAL_ONLY}:
            raise TaskError(
                f"{declared.name} takes `{_as_written(argument)}`; arguments are given by name",
                place=declared.place,
                known=", ".join(known),
                fix="name each argument, without `*`, `**` and `/`",
            )
        if argument.name in known:
            yield argument.name
        elif argument.default is argument.empty:
            raise _unknown_argument(declared, argument.name, known)


def _as_written(argument: inspect.Parameter) -> str:
    if argument.kind is argument.POSITIONAL_ONLY:
        return f"{argument.name}, /"
    return f"*{argument.name}" if argument.kind is argument.VAR_POSITIONAL else f"**{argument.name}"


def _unknown_argument(declared: Task[..., Any] | FixtureDeclaration, name: str, known: Mapping[str, str]) -> TaskError:
    near = nearest(name, known)
    if near:
        fix = f"rename the argument to `{near}`"
    elif isinstance(declared, Task):
        fix = f'provide it: @parametrize("{name}", [...]), or give it a default'
    elif name == "sample":
        fix = f"let a task take `sample`: cases share {declared.name}, so it has none"
    else:
        fix = f"write a fixture of that name, or give it a default; {declared.name} is shared by all variants"
    return TaskError(
        f"{declared.name} takes `{name}`, and nothing provides it",
        place=declared.place,
        known=", ".join(known.values()),
        fix=fix,
    )


def _check_sync(declared: Task[..., Any] | FixtureDeclaration, arguments: tuple[str, ...]) -> None:
    for name in _AWAITED_ONLY:
        if name in arguments:
            raise TaskError(
                f"{declared.name} takes `{name}`, which is awaited, and is no async function",
                place=declared.place,
                fix=f"write `async def {declared.name}(...)` and await what `{name}` returns",
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
