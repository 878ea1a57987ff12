"""The shapes of answers that an experiment file names, as far as they can be seen without running it.

Seen are `Answer[Shape]` in what a task returns, types among parametrised values, and the first argument of `ask(...)`
where it is made of names of the file. A rehearsal finds the others, before anything is paid.
"""

from __future__ import annotations

import ast
import builtins
import dataclasses
import typing
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from typing_extensions import is_typeddict

from llmbatch.errors import TaskError
from llmbatch.experiment.injection import Injection
from llmbatch.experiment.place import place_of
from llmbatch.experiment.words import Task

_ASK = "ask"


def check_shapes(tasks: Iterable[tuple[Task[..., Any], Injection]], path: Path, names: Mapping[str, Any]) -> None:
    """Raise TaskError for a shape that cannot be asked for: the reason, its place in the type, file and line.

    `names` are those of the file at `path`.
    """
    from llmbatch.parse.shape import shape_of  # noqa: PLC0415 - pydantic is loaded for who asks for shapes

    for shape, place, where in _shapes(tasks, path, names):
        try:
            shape_of(shape)
        except TaskError as error:
            fix = error.details.pop("fix")
            error.details.update(asked=f"{where}, {place}", fix=fix)
            error.place = error.place or place
            raise


def _shapes(
    tasks: Iterable[tuple[Task[..., Any], Injection]], path: Path, names: Mapping[str, Any]
) -> Iterator[tuple[Any, str, str]]:
    """Yield each shape with the place where it is named, and the words for that place."""
    for task, injection in tasks:
        for shape in filter(_is_said, injection.shapes):
            yield shape, task.place, f"{task.name} returns its Answer"
        for parameter in task.declaration.parameters if _ASK in injection.arguments else ():
            for row in parameter.rows:
                for name, value in zip(parameter.names, row.values, strict=True):
                    if _is_shape(value):
                        yield value, task.place, f"a value of `{name}` in {task.name}"
    if path.is_file():
        for shape, line in asked_shapes(path.read_bytes(), names):
            yield shape, place_of(path, line), "in ask(...)"


def _is_said(shape: object) -> bool:
    """Whether an annotation says what is asked for: not `Any`, and no class that is there to be derived from."""
    if shape in (Any, object) or isinstance(shape, typing.TypeVar):
        return False
    return not isinstance(shape, type) or getattr(shape, "model_fields", None) != {}


def _is_shape(value: object) -> bool:
    """Whether a parametrised value is a type that can only be meant as a shape."""
    if isinstance(value, type):
        is_class_of_fields = hasattr(value, "model_fields") or dataclasses.is_dataclass(value) or is_typeddict(value)
        return is_class_of_fields or issubclass(value, Enum)
    return typing.get_origin(value) is not None


def asked_shapes(source: bytes, names: Mapping[str, Any]) -> Iterator[tuple[Any, int]]:
    """Yield the shape of each `ask(Shape, prompt, ...)` in a source text whose names are known, and its line."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # it was imported, so it is no longer what it was
        return
    for call, local in _calls(tree, frozenset()):
        if len(call.args) >= 2 and isinstance(call.func, ast.Name) and call.func.id == _ASK:
            try:
                shape = _value(call.args[0], names, local)
            except Exception:  # noqa: BLE001, S112 - names of an author's file may raise anything: the rehearsal will say
                continue
            if isinstance(shape, type) or typing.get_origin(shape) is not None:
                yield shape, call.lineno


def _calls(node: ast.AST, local: frozenset[str]) -> Iterator[tuple[ast.Call, frozenset[str]]]:
    """Yield the calls inside a node, each with the names that mean something else there than in the file."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        inside = list(ast.walk(node))
        local |= {each.arg for each in inside if isinstance(each, ast.arg)}
        local |= {each.id for each in inside if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
        local |= {
            each.name for each in inside if isinstance(each, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        }
    if isinstance(node, ast.Call):
        yield node, local
    for inner in ast.iter_child_nodes(node):
        yield from _calls(inner, local)


def _value(node: ast.expr, names: Mapping[str, Any], local: frozenset[str]) -> Any:
    """Return what an expression of names, attributes, subscripts and `|` stands for. Raises what looking it up does."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name) if name not in local:
            return names[name] if name in names else vars(builtins)[name]
        case ast.Attribute(value=owner, attr=name):
            return getattr(_value(owner, names, local), name)
        case ast.Subscript(value=generic, slice=arguments):
            return _value(generic, names, local)[_value(arguments, names, local)]
        case ast.Tuple(elts=elements):
            return tuple(_value(element, names, local) for element in elements)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _value(left, names, local) | _value(right, names, local)
        case _:
            raise LookupError(ast.dump(node))
