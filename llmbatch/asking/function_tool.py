"""A Python function as a model is told of it, and the arguments that a model calls it with. Runs nothing."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from llmbatch.config import StructuredMode
from llmbatch.errors import TaskError
from llmbatch.experiment.place import definition_of, place_of
from llmbatch.parse.body import json_text
from llmbatch.parse.extract import shortened
from llmbatch.parse.reasons import refusal_of
from llmbatch.parse.strict import JsonSchema, NotStrictError, strict_schema

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KEPT = 512


class _Parameter(NamedTuple):
    hint: Any
    needed: bool


class ArgumentsError(Exception):
    """What a model called a function with does not fit it; the words are for the model, and ours."""


@dataclass(frozen=True, slots=True, eq=False)
class FunctionTool:
    """One function of a question. `is_strict` says that its arguments are of the subset that strict mode takes."""

    name: str
    _function: Mapping[str, Any]
    is_strict: bool
    json_schema: JsonSchema
    is_async: bool
    _model: type[BaseModel]
    _names: Mapping[str, str]
    wrapped: bool = False
    """As of a shape: arguments are never put into an object, they are one."""

    def declaration(self, mode: StructuredMode) -> Mapping[str, Any]:
        """Return the member of a request's `tools`; strict where schemas are, since other services may refuse that."""
        strict = {"strict": True} if self.is_strict and mode == "json_schema" else {}
        return {"type": "function", "function": {**self._function, **strict}}

    def arguments(self, written: object) -> dict[str, Any]:
        """Return the arguments as the function takes them, defaults left out. Raises ArgumentsError.

        `written` is JSON text, or an object, as some services send it; nothing stands for no arguments.
        """
        text = json_text(written) if isinstance(written, dict) else written
        if text is None or (isinstance(text, str) and not text.strip()):
            text = "{}"
        try:
            given = orjson.loads(text) if isinstance(text, str) else None
        except orjson.JSONDecodeError:
            given = None
        if not isinstance(given, dict) or not isinstance(text, str):
            raise ArgumentsError("the arguments are not a JSON object")
        known = self.json_schema["properties"]
        for name in given:
            if name not in known:
                has = ", ".join(known) or "none"
                raise ArgumentsError(f"{self.name} has no argument `{shortened(name)}`; it has: {has}")
        try:
            validated = self._model.model_validate_json(text)
        except ValidationError as error:
            raise ArgumentsError(refusal_of(error, self).message) from None
        return {
            self._names[field]: getattr(validated, field)
            for field in self._names
            if field in validated.model_fields_set
        }


_tools: dict[object, FunctionTool] = {}


def function_tool(function: Callable[..., Any]) -> FunctionTool:
    """Return what a model is told of a function, the same object for functions of one definition.

    Name, docstring and annotated parameters are sent. A function whose arguments are all needed, and of types that
    strict mode can carry, is declared strict. Raises TaskError with the place for one that cannot be told of.
    """
    name = _checked_name(function)
    parameters = _parameters(function)
    key: object
    try:
        # a function that is defined within a task is a new one in each case; equal Literals may differ in their order
        definition = inspect.unwrap(function).__code__, name, inspect.iscoroutinefunction(function)
        key = (*definition, function.__doc__, tuple(parameters.items()), repr(parameters))
        known = _tools.get(key)
    except (AttributeError, TypeError):  # no code of its own, or an annotation that has no hash
        key = known = None
    if known is None:
        known = _build(function, name, parameters)
        if key is not None:
            if len(_tools) >= _KEPT:
                _tools.clear()
            _tools[key] = known
    return known


def declared_tools(tools: object, taken: str = "") -> dict[str, FunctionTool]:
    """Return what a model is told of each function, by its name; `taken` is a name that none may have.

    Raises TaskError for what are no such functions.
    """
    if not isinstance(tools, Sequence) or isinstance(tools, str):
        raise TaskError(
            f"tools= is a {type(tools).__name__}, not a list of functions", fix="write tools=[look_up, count_words]"
        )
    declared: dict[str, FunctionTool] = {}
    for function in tools:
        tool = function_tool(function)
        if tool.name in declared or tool.name == taken:
            both = "two tools are" if tool.name in declared else "a tool and the shape of the answer are both"
            raise _error(function, f"{both} named {tool.name}", "rename one of them")
        declared[tool.name] = tool
    return declared


def _checked_name(function: object) -> str:
    name = getattr(function, "__name__", None)
    if not callable(function) or not isinstance(name, str) or isinstance(function, type):
        raise TaskError(
            f"tools= has {type(function).__name__} {function!r}, which is no function",
            fix="give functions: tools=[look_up, count_words]",
        )
    if not _NAME.fullmatch(name):
        what = "a function without a name" if name == "<lambda>" else f"the name {name!r}, which services refuse"
        raise _error(function, f"tools= has {what}", "write a def whose name is letters, digits and _, at most 64")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise _error(function, f"the tool {name} yields", "return one value")
    return name


def _parameters(function: Callable[..., Any]) -> dict[str, _Parameter]:
    """Return the parameters by name. Raises TaskError for what a model cannot be told of."""
    name = function.__name__
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except Exception as error:
        raise _error(
            function,
            f"an annotation of the tool {name} cannot be looked up: {type(error).__name__}: {error}",
            "define what it names at the top of the file",
        ) from error
    found: dict[str, _Parameter] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY}:
            fix = "name each parameter, without `*`, `**` and `/`"
            written = str(parameter).partition(":")[0]
            what = f"the tool {name} takes `{written}`; a model gives arguments by name"
            raise _error(function, what, fix)
        if parameter.name not in hints:
            what = f"the parameter `{parameter.name}` of the tool {name} has no type"
            raise _error(function, what, f"annotate it, for instance {parameter.name}: str")
        found[parameter.name] = _Parameter(hints[parameter.name], parameter.default is parameter.empty)
    return found


def _build(function: Callable[..., Any], name: str, parameters: Mapping[str, _Parameter]) -> FunctionTool:
    # fields have names of their own, since a parameter may be called as a method of a model is
    fields: dict[str, Any] = {
        f"argument_{number}": (
            each.hint,
            Field(alias=called) if each.needed else Field(alias=called, default_factory=_no),
        )
        for number, (called, each) in enumerate(parameters.items())
    }
    try:
        model = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
        schema = model.model_json_schema()
    except Exception as error:  # noqa: BLE001 - pydantic asserts as well, and hooks of the author's raise anything
        reason = str(error).split("\n\n", maxsplit=1)[0] or type(error).__name__
        fix = "use str, int, float, bool, Literal, lists, dicts, dataclasses or pydantic models"
        raise _error(function, f"the parameters of the tool {name} have no JSON schema: {reason}", fix) from None
    declaration: dict[str, Any] = {"name": name}
    told = inspect.getdoc(function)
    if told:
        declaration["description"] = told
    strict = _strict(schema, name)
    declaration["parameters"] = sent = _untitled(schema) if strict is None else strict
    return FunctionTool(
        name,
        declaration,
        strict is not None,
        sent,
        inspect.iscoroutinefunction(function),
        model,
        dict(zip(fields, parameters, strict=True)),
    )


def _no() -> None:
    """Stand for an argument that is not given: the function has its default."""


def _strict(schema: JsonSchema, name: str) -> JsonSchema | None:
    """Return the strict form of a schema; None where strict mode would ask for more than the function does."""
    properties = schema.get("properties", {})
    if set(schema.get("required", ())) != set(properties):
        return None  # strict mode has no defaults: the model would have to make all of them up
    if not properties:
        return {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    try:
        return strict_schema(schema, name)
    except NotStrictError:
        return None


def _untitled(node: Any) -> Any:
    """Return a schema without the titles that repeat its names. A property may be named `title`: that is no text."""
    if isinstance(node, dict):
        kept = {key: inner for key, inner in node.items() if not (key == "title" and isinstance(inner, str))}
        return {key: _untitled(inner) for key, inner in kept.items()}
    return [_untitled(inner) for inner in node] if isinstance(node, list) else node


def _error(function: Callable[..., Any], what: str, fix: str) -> TaskError:
    place = place_of(*definition_of(function)) if hasattr(function, "__code__") else None
    return TaskError(what, place=place, fix=fix)
