"""Which columns a task's answers have, as far as its return annotation says. Knows no rows and no frames."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Awaitable, Coroutine, Mapping
from enum import Enum
from typing import Any, Literal, Union

from typing_extensions import is_typeddict

from llmbatch.experiment.answer import Answer

SCALAR_COLUMN = "answer"
"""The column of an answer that has no fields of its own: a text, a number, a label, a list."""

_SCALAR_KINDS: dict[type, str] = {str: "str", int: "int", float: "float", bool: "bool"}
_SCALARS = (str, int, float, bool, list, tuple)


def declared_columns(annotation: Any) -> dict[str, Any] | None:
    """Return the annotation of each answer column, in order; None where the annotation does not say.

    `annotation` is resolved: `Answer[Verdict]`, a pydantic model, a dataclass, a TypedDict, a scalar type.
    """
    annotation = _unwrap(annotation)
    if annotation is None or annotation is type(None):
        return {}
    if isinstance(annotation, type):
        fields = _fields_of_class(annotation)
        if fields is not None:
            return fields
    origin = typing.get_origin(annotation)
    if origin is Literal or annotation in _SCALARS or origin in _SCALARS:
        return {SCALAR_COLUMN: annotation}
    return None


def declared_kinds(columns: Mapping[str, Any]) -> dict[str, str]:
    """Return the kind of each declared column that is sure: `str`, `int`, `list[float]` and the like.

    A class, a mapping, a union or an `Any` has none; its column takes the kind of the cells.
    """
    kinds = {name: _kind(annotation) for name, annotation in columns.items()}
    return {name: kind for name, kind in kinds.items() if kind is not None}


def closed_columns(columns: Mapping[str, Any]) -> frozenset[str]:
    """Return the declared columns that hold one of a closed set of labels: a `Literal`, an enum or a bool."""
    return frozenset(name for name, annotation in columns.items() if _is_closed(_unwrap(annotation)))


def _is_closed(annotation: Any) -> bool:
    is_labels = isinstance(annotation, type) and issubclass(annotation, (Enum, bool))
    return is_labels or typing.get_origin(annotation) is Literal


def _kind(annotation: Any) -> str | None:
    annotation = _unwrap(annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        types_of_labels = {type(label) for label in arguments if label is not None}
        return _SCALAR_KINDS.get(types_of_labels.pop()) if len(types_of_labels) == 1 else None
    if origin is list and arguments:
        inner_kind = _kind(arguments[0])
        return f"list[{inner_kind}]" if inner_kind in _SCALAR_KINDS.values() else None
    return _SCALAR_KINDS.get(annotation) if isinstance(annotation, type) else None


def _unwrap(annotation: Any) -> Any:
    """Take off what says nothing about columns: awaitables, `Answer`, `Annotated` and `| None`."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in {Coroutine, Awaitable} and arguments:
        return _unwrap(arguments[-1])
    if origin is typing.Annotated:
        return _unwrap(arguments[0])
    if origin in {Union, types.UnionType}:
        rest = [argument for argument in arguments if argument is not type(None)]
        return _unwrap(rest[0]) if len(rest) == 1 else annotation
    if origin is Answer:
        return _unwrap(arguments[0])
    return annotation


def _fields_of_class(shape: type) -> dict[str, Any] | None:
    model_fields = getattr(shape, "model_fields", None)
    if isinstance(model_fields, Mapping):  # a pydantic model, told without importing pydantic
        return {name: field.annotation for name, field in model_fields.items()}
    if dataclasses.is_dataclass(shape) or is_typeddict(shape):
        return _hints(shape)
    return None


def _hints(shape: type) -> dict[str, Any]:
    try:
        return dict(typing.get_type_hints(shape))
    except Exception:  # noqa: BLE001 - an annotation may be any expression, and fail in any way
        return dict.fromkeys(shape.__annotations__, Any)
