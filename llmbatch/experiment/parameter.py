"""Parametrised values of a task: `parametrize` and `param`. Knows no variant: the plan makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from llmbatch.errors import TaskError
from llmbatch.experiment.place import definition_of, place_of

F = TypeVar("F", bound=Callable[..., Any])

PARAMETERS_ATTRIBUTE = "__llmbatch_parameters__"
"""Where a plain function keeps its parameters until `@task` takes them over."""

PROVIDED_NAMES = ("sample", "ask", "client")
"""Names that llmbatch itself provides and nobody may parametrise."""


@dataclass(frozen=True, slots=True)
class Value:
    """One row of a `@parametrize`: a value for each name, and the id and marks given to it."""

    values: tuple[object, ...]
    id: str | None = None
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Parameter:
    """One `@parametrize`: the names, and the rows of values they take together."""

    names: tuple[str, ...]
    rows: tuple[Value, ...]


def param(*values: object, id: str | None = None, marks: Sequence[str] = ()) -> object:  # noqa: A002 - pytest's word
    """Give one value of a `@parametrize` its own id or marks.

    Raises TaskError without a value, and for an id that a command line could not name.
    """
    if not values:
        raise TaskError("param() holds no value", fix='write param("value", id="name")')
    if id is not None:
        _check_id(id)
    return Value(values, id, _marks(marks))


def parametrize(names: str, values: Iterable[object], *, ids: Sequence[str] | None = None) -> Callable[[F], F]:
    """Run the task once for each value; `model` binds the ask.

    Several names are separated by commas, and each value is then a sequence of as many. Several
    `@parametrize` multiply, the topmost varying slowest. May stand above or below `@task`. Raises TaskError.
    """
    split = _split_names(names)
    rows = _rows(split, values)
    if ids is not None:
        rows = _with_ids(split, rows, ids)
    parameter = Parameter(split, rows)

    def decorate(decorated: F) -> F:
        add = getattr(decorated, "with_parameter", None)  # a Task: @parametrize stands above @task
        if add is not None:
            return cast("F", add(parameter))
        earlier = getattr(decorated, PARAMETERS_ATTRIBUTE, ())
        setattr(decorated, PARAMETERS_ATTRIBUTE, merge_parameter(decorated, parameter, earlier))
        return decorated

    return decorate


def merge_parameter(
    function: Callable[..., Any], parameter: Parameter, earlier: tuple[Parameter, ...]
) -> tuple[Parameter, ...]:
    """Return the parameters with a new one in front, since decorators apply from the bottom up."""
    taken = {name for other in earlier for name in other.names}
    for name in parameter.names:
        if name in taken:
            raise TaskError(
                f"{function.__name__} is parametrised by `{name}` twice",
                place=place_of(*definition_of(function)),
                fix=f"put all values of `{name}` into one @parametrize",
            )
    return (parameter, *earlier)


def _split_names(names: str) -> tuple[str, ...]:
    split = tuple(name.strip() for name in names.split(",") if name.strip())
    if not split:
        raise TaskError("@parametrize names nothing", fix='write @parametrize("prompt", ["a.md", "b.md"])')
    for name in split:
        if not name.isidentifier():
            raise TaskError(
                f"@parametrize({names!r}): `{name}` cannot be an argument's name",
                fix='separate names by commas: @parametrize("model, prompt", [...])',
            )
        if name in PROVIDED_NAMES:
            raise TaskError(f"@parametrize({names!r}): `{name}` is provided by llmbatch", fix="use another name")
    if len(set(split)) != len(split):
        raise TaskError(f"@parametrize({names!r}) has a name twice", fix="give each name once")
    return split


def _rows(names: tuple[str, ...], values: Iterable[object]) -> tuple[Value, ...]:
    if isinstance(values, str | bytes):
        raise TaskError(
            f"the values of @parametrize({', '.join(names)!r}) are one string, {values!r}",
            fix=f"put it into a list: [{values!r}]",
        )
    rows = tuple(_row(names, value) for value in values)
    if not rows:
        raise TaskError(f"@parametrize({', '.join(names)!r}) has no value", fix="give at least one")
    return rows


def _row(names: tuple[str, ...], value: object) -> Value:
    if isinstance(value, Value):
        row = value
    elif len(names) == 1:
        row = Value((value,))
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        row = Value(tuple(value))
    else:
        row = Value((value,))
    if len(row.values) != len(names):
        raise TaskError(
            f"@parametrize({', '.join(names)!r}): {value!r} holds {len(row.values)} values, not {len(names)}",
            fix=f"write a tuple of {len(names)} for each" if len(names) > 1 else "write one value in each param(...)",
        )
    return row


def _with_ids(names: tuple[str, ...], rows: tuple[Value, ...], ids: Sequence[str]) -> tuple[Value, ...]:
    given = list(ids)
    if isinstance(ids, str) or len(given) != len(rows):
        raise TaskError(
            f"@parametrize({', '.join(names)!r}) has {len(rows)} values and ids={ids!r}",
            fix=f"give a list of {len(rows)} ids",
        )
    for text in given:
        _check_id(text)
    return tuple(
        Value(row.values, row.id if row.id is not None else text, row.marks)
        for row, text in zip(rows, given, strict=True)
    )


def _check_id(text: object) -> None:
    if not isinstance(text, str) or not text.strip() or "::" in text or set(text) & set("[]\n\r\t"):
        raise TaskError(
            f"the id {text!r} cannot be named on a command line",
            fix="use a short text without brackets, `::` and line breaks",
        )


def _marks(marks: Sequence[str]) -> tuple[str, ...]:
    return (marks,) if isinstance(marks, str) else tuple(marks)
