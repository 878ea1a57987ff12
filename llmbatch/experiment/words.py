"""What an author declares: `task` and `table`. Knows no samples, no plan and no polars; it only remembers."""

from __future__ import annotations

import typing
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeAlias, TypeVar

from llmbatch.errors import TaskError
from llmbatch.experiment.parameter import PARAMETERS_ATTRIBUTE, Parameter, merge_parameter
from llmbatch.experiment.place import definition_of, place_of

if TYPE_CHECKING:  # at run time an import of llmbatch must load neither
    import polars as pl
    from pydantic import BaseModel

    from llmbatch.experiment.answer import Answer

Returned: TypeAlias = "Answer[Any] | BaseModel | Mapping[str, Any] | str | int | float | bool | None"
"""What a task may return."""

P = ParamSpec("P")
R = TypeVar("R", bound="Returned | Awaitable[Returned]")
Frame = TypeVar("Frame", bound="pl.DataFrame | pl.LazyFrame")

SampleSource: TypeAlias = "str | Path | Iterable[Any] | Callable[[], Iterable[Any]] | Task[..., Any]"
"""A file, an iterable, or a function that gives one."""

TABLE_ATTRIBUTE = "__llmbatch_table__"
"""Where a table function keeps its definition."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """All that the decorators say of one task. `parameters` are in reading order, the topmost first."""

    function: Callable[..., Any]
    samples: SampleSource
    truth: str | None
    id: str | None
    repeat: int
    exclude: tuple[Mapping[str, Any], ...]
    marks: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    file: str
    line: int


class Task(Generic[P, R]):
    """A declared task; calling it calls the plain function, so a unit test needs no run."""

    name: str
    declaration: Declaration

    def __init__(self, function: Callable[P, R], declaration: Declaration) -> None:
        update_wrapper(self, function)
        self._function = function
        self.name = function.__name__
        self.declaration = declaration

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<Task {self.name} at {self.place}>"

    @property
    def truth(self) -> str | None:
        """The sample field that holds the truth, by its name in the file."""
        return self.declaration.truth

    @property
    def place(self) -> str:
        """Where the function is defined, as `file:line`."""
        return place_of(self.declaration.file, self.declaration.line)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The parametrised names in reading order."""
        return tuple(name for parameter in self.declaration.parameters for name in parameter.names)

    def with_parameter(self, parameter: Parameter) -> Task[P, R]:
        """Return the task with one more `@parametrize` on top of the others."""
        merged = merge_parameter(self._function, parameter, self.declaration.parameters)
        return Task(self._function, replace(self.declaration, parameters=merged))


def task(
    *,
    samples: SampleSource,
    truth: str | None = None,
    id: str | None = None,  # noqa: A002 - the field's name for it
    repeat: int = 1,
    exclude: Sequence[Mapping[str, Any]] = (),
    marks: Sequence[str] = (),
) -> Callable[[Callable[P, R]], Task[P, R]]:
    """One sample in, one answer row out; order with @parametrize is free.

    `truth` and `id` name fields of a sample; `exclude` lists the combinations of parametrised values that
    are not run. Raises TaskError.
    """

    def decorate(function: Callable[P, R]) -> Task[P, R]:
        file, line = definition_of(function)
        declaration = Declaration(
            function=function,
            samples=samples,
            truth=truth,
            id=id,
            repeat=repeat,
            exclude=(exclude,) if isinstance(exclude, Mapping) else tuple(exclude),
            marks=(marks,) if isinstance(marks, str) else tuple(marks),
            parameters=getattr(function, PARAMETERS_ATTRIBUTE, ()),
            file=file,
            line=line,
        )
        _check_declaration(function, declaration)
        return Task(function, declaration)

    return decorate


def _check_declaration(function: Callable[..., Any], declaration: Declaration) -> None:
    name, place = getattr(function, "__name__", repr(function)), place_of(declaration.file, declaration.line)
    if isinstance(function, Task):
        raise TaskError(f"{name} is decorated with @task twice", place=place, fix="keep one of them")
    if not hasattr(function, "__code__"):
        raise TaskError(f"@task decorates {name}, which is no function", place=place, fix="decorate a def")
    if isinstance(declaration.samples, Task) and declaration.id is not None:
        raise TaskError(
            f"{name} has id={declaration.id!r}, and its samples are the rows of {declaration.samples.name}",
            place=place,
            fix="leave id= out: a row is known by its case",
        )
    if type(declaration.repeat) is not int or declaration.repeat < 1:
        raise TaskError(f"{name} has repeat={declaration.repeat!r}", place=place, fix="write a whole number from 1 on")


@dataclass(frozen=True, slots=True)
class TableDefinition:
    """A table function: it takes one frame, the rows of its sources in plan order, lazy where it says so."""

    name: str
    function: Callable[..., Any]
    sources: tuple[Task[..., Any], ...]
    wants_lazy: bool
    file: str
    line: int

    @property
    def place(self) -> str:
        """Where the function is defined, as `file:line`."""
        return place_of(self.file, self.line)


def table(*sources: Task[..., Any]) -> Callable[[Callable[..., Frame]], Callable[..., Frame]]:
    """A frame made from the rows of the sources, in plan order.

    The function gets a `pl.LazyFrame` where its first argument is annotated so, else a `pl.DataFrame`.
    Raises TaskError when a source is no task.
    """
    given: tuple[object, ...] = sources  # checkers know they are tasks; who runs no checker does not
    for source in given:
        if not isinstance(source, Task):
            place = place_of(*definition_of(source)) if callable(source) else None
            raise TaskError(
                f"@table takes tasks, not {getattr(source, '__name__', repr(source))}",
                place=place,
                fix="write @table(my_task), with a function that has @task",
            )
    if not sources:
        raise TaskError("@table() names no task", fix="write @table(my_task)")

    def decorate(function: Callable[..., Frame]) -> Callable[..., Frame]:
        file, line = definition_of(function)
        definition = TableDefinition(function.__name__, function, sources, _wants_lazy(function), file, line)
        _check_table(definition)
        setattr(function, TABLE_ATTRIBUTE, definition)
        return function

    return decorate


def _check_table(definition: TableDefinition) -> None:
    code = definition.function.__code__
    if code.co_argcount != 1 or code.co_kwonlyargcount:
        raise TaskError(
            f"the table {definition.name} takes {code.co_argcount + code.co_kwonlyargcount} arguments",
            place=definition.place,
            fix="take one: the rows of all its sources, told apart by the column llmbatch_task",
        )


def _wants_lazy(function: Callable[..., Any]) -> bool:
    raw = dict(function.__annotations__)
    raw.pop("return", None)
    if not raw:
        return False
    name, annotation = next(iter(raw.items()))
    if isinstance(annotation, str):
        try:  # an alias of LazyFrame resolves; a name that exists only for type checkers does not
            annotation = typing.get_type_hints(function)[name]
        except Exception:  # noqa: BLE001 - an annotation may be any expression, and fail in any way
            return str(annotation).strip("'\"").split(".")[-1] == "LazyFrame"
    return getattr(annotation, "__name__", "") == "LazyFrame"
