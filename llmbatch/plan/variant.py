"""Variants: the combinations of a task's parametrised values, and their ids. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import PurePath
from types import MappingProxyType
from typing import Any

from llmbatch.columns import PREFIX
from llmbatch.errors import TaskError
from llmbatch.experiment.parameter import Parameter, Value
from llmbatch.experiment.place import nearest
from llmbatch.experiment.words import Task
from llmbatch.samples.values import NotJsonLikeError, canonical_json, json_like

_LONGEST_SLUG = 40
PROMPT_SUFFIXES = (".md", ".txt")


@dataclass(frozen=True, slots=True)
class Variant:
    """One combination of values by name, in the order of the parameters. Without any, `id` is empty.

    `model` is the model given by it, as `endpoint/name`; `names` and `cells` are the columns of its other values.
    """

    values: Mapping[str, object]
    id: str
    marks: tuple[str, ...] = ()
    model: str | None = field(init=False, repr=False, compare=False)
    names: tuple[str, ...] = field(init=False, repr=False, compare=False)
    cells: tuple[object, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        model = self.values.get("model")
        object.__setattr__(self, "model", None if model is None else str(model))
        # worked out once here, because there may be a million rows
        others = {f"{PREFIX}{name}": _cell(value) for name, value in self.values.items() if name != "model"}
        object.__setattr__(self, "names", tuple(others))
        object.__setattr__(self, "cells", tuple(others.values()))


def _cell(value: object) -> object:
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


def variants_of(task: Task[..., Any], parameters: tuple[Parameter, ...]) -> tuple[Variant, ...]:
    """Return the product of the parameters without what `exclude` takes away, the first varying slowest.

    Raises TaskError for an `exclude` that names an unknown parameter or takes nothing away.
    """
    named = [list(zip(parameter.rows, _row_ids(parameter), strict=True)) for parameter in parameters]
    names = tuple(name for parameter in parameters for name in parameter.names)
    combined = [_combine(names, combination) for combination in product(*named)]
    variants = _excluded(task, names, combined)
    return tuple(_with_unique_ids(variants))


def _combine(names: tuple[str, ...], combination: tuple[tuple[Value, str], ...]) -> Variant:
    values = [value for row, _ in combination for value in row.values]
    marks = dict.fromkeys(mark for row, _ in combination for mark in row.marks)
    return Variant(
        MappingProxyType(dict(zip(names, values, strict=True))),
        "-".join(text for _, text in combination),
        tuple(marks),
    )


def _excluded(task: Task[..., Any], names: tuple[str, ...], variants: list[Variant]) -> list[Variant]:
    left = variants
    for exclude in task.declaration.exclude:
        for name in exclude:
            if name not in names:
                near = nearest(name, names)
                raise TaskError(
                    f"exclude of {task.name} names `{name}`, which is not parametrised",
                    place=task.place,
                    known=", ".join(names) or "nothing is",
                    fix=f"write `{near}`" if near else "name a parametrised argument",
                )
        if not any(_matches(variant, exclude) for variant in variants):
            raise TaskError(
                f"exclude={dict(exclude)!r} of {task.name} takes no variant away",
                place=task.place,
                values="; ".join(f"{name}: {_listed(variants, name)}" for name in exclude) or "none are given",
                fix="correct the values, or take the exclude away",
            )
        left = [variant for variant in left if not _matches(variant, exclude)]
    if not left:
        raise TaskError(f"exclude of {task.name} leaves no variant", place=task.place, fix="exclude fewer combinations")
    return left


def _matches(variant: Variant, exclude: Mapping[str, Any]) -> bool:
    return bool(exclude) and all(same_value(variant.values[name], wanted) for name, wanted in exclude.items())


def same_value(one: object, other: object) -> bool:
    """Whether two values are the same; unlike `==`, True is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _listed(variants: list[Variant], name: str) -> str:
    return ", ".join(dict.fromkeys(repr(variant.values[name]) for variant in variants))


def _row_ids(parameter: Parameter) -> list[str]:
    """Return the id of each row; where short ids are equal, long ones: `openai-gpt-4o`, `azure-gpt-4o`."""
    short = [_row_id(parameter, row, number, long=False) for number, row in enumerate(parameter.rows)]
    counts = Counter(short)
    return [
        text if counts[text] == 1 else _row_id(parameter, row, number, long=True)
        for number, (row, text) in enumerate(zip(parameter.rows, short, strict=True))
    ]


def _row_id(parameter: Parameter, row: Value, number: int, *, long: bool) -> str:
    if row.id is not None:
        return row.id
    return "-".join(
        value_id(name, value, number, long=long) for name, value in zip(parameter.names, row.values, strict=True)
    )


def value_id(name: str, value: object, number: int, *, long: bool = False) -> str:
    """Return the id of a single value: a model without its endpoint, a prompt file without its suffix.

    `long` keeps both. A value without a readable form is named by its parameter and its position.
    """
    match value:
        case PurePath() | str():
            text = value.as_posix() if isinstance(value, PurePath) else value
            return _slug(text if long else _short(name, text)) or f"{name}{number}"
        case bool() | int() | float() | None:
            return repr(value)
        case _:
            return _slug(str(getattr(value, "__name__", ""))) or f"{name}{number}"


def _short(name: str, text: str) -> str:
    if (name == "model" or name.endswith("_model")) and "/" in text:
        return text.partition("/")[2]
    if text.endswith(PROMPT_SUFFIXES) and not re.search(r"\s", text):
        return PurePath(text).stem
    return text


def _slug(text: str) -> str:
    return re.sub(r"[^\w.+-]+", "-", text[: _LONGEST_SLUG * 4]).strip("-")[:_LONGEST_SLUG].strip("-")


def _with_unique_ids(variants: Iterable[Variant]) -> Iterable[Variant]:
    """Number what is still equal from the second on, past ids that are taken."""
    listed = list(variants)
    free = {variant.id for variant in listed}
    used: set[str] = set()
    for variant in listed:
        text, number = variant.id, 2
        while text in used or (text != variant.id and text in free):
            text, number = f"{variant.id}-{number}", number + 1
        used.add(text)
        yield variant if text == variant.id else Variant(variant.values, text, variant.marks)
