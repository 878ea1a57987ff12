"""Samples that Python code gives: an iterable that can be read again, or a function that returns one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any

from pydantic import BaseModel

from llmbatch.errors import LlmbatchError, SampleError
from llmbatch.samples.values import NotJsonLikeError, Record, json_like

_AGAIN = "a run reads samples more than once: give a list, or the function that makes them"


class SampleObjects:
    """The records of an iterable or of a function; each call of `records` starts over."""

    is_fixed = False
    place_of_all = "item "

    def __init__(self, source: object) -> None:
        self.name = _name(source)
        self._start = _starter(source, self.name)
        self._last: object = None

    def place(self, number: int) -> str:
        """Return `item N` of a record."""
        return f"{self.place_of_all}{number}"

    def count(self) -> int:
        """Return the number of items."""
        return sum(1 for _ in self.records())

    def records(self, *, only: str | None = None) -> Iterator[Record]:
        """Yield a record for each item, whole even where `only` one field is wanted.

        Raises SampleError where the author's code raises, or gives the same iterator twice.
        """
        number = 0
        try:
            items = iter(self._start())
            if items is self._last:
                raise SampleError(f"{self.name} gives the same iterator twice", fix=_AGAIN)
            self._last = items
            for number, item in enumerate(items, 1):
                yield _record(number, item)
        except LlmbatchError:
            raise
        except Exception as error:
            raise SampleError(
                f"{self.name} raised {type(error).__name__}: {error}",
                place=_raised_at(error),
                after=f"{number} items",
                fix="put that code right; the whole traceback is below",
            ) from error


def _record(number: int, item: object) -> Record:
    try:
        if item is None:
            raise NotJsonLikeError("it is None")
        if isinstance(item, Mapping):
            # a dict of its own, so that a task that changes its sample does not change the author's list
            return Record(number, json_like(item), dict(item))
        data = json_like(item)
        is_record = isinstance(item, BaseModel) or is_dataclass(item) or hasattr(item, "_asdict")
        return Record(number, data if is_record and isinstance(data, dict) else {"value": data}, item)
    except NotJsonLikeError as error:
        problem = f"{type(item).__name__} cannot be a sample: {error}"
        # the type alone stands for the item: a repr may hold an address, which changes from run to run
        return Record(number, None, item, problem, type(item).__qualname__.encode())


def _starter(source: object, name: str) -> Callable[[], Iterable[Any]]:
    """Return what starts a pass. Raises SampleError for all that cannot be read twice."""
    kind = type(source)
    if kind.__module__.partition(".")[0] in {"polars", "pandas"}:
        how = ".to_dicts()" if kind.__module__.startswith("polars") else '.to_dict("records")'
        raise SampleError(f"a {kind.__name__} is not samples: iterated, it gives columns", fix=f"give {how}")
    if isinstance(source, Mapping):
        raise SampleError("a mapping is one sample, not samples", fix="put it in a list")
    if isinstance(source, bytes | BaseModel):
        raise SampleError(f"{name} is not samples", fix="give a path, a list, or a function that returns one")
    if callable(source) and not isinstance(source, Iterable):
        return _checked_function(source, name)
    if not isinstance(source, Iterable):
        raise SampleError(f"{name} is not samples", fix="give a path, a list, or a function that returns one")
    if iter(source) is source:
        raise SampleError(f"{name} can be read only once", fix=_AGAIN)
    items: Iterable[Any] = source
    return lambda: items


def _checked_function(function: Callable[..., Any], name: str) -> Callable[[], Iterable[Any]]:
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise SampleError(f"{name} is async", place=_defined_at(function), fix="make it a plain function")
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        raise SampleError(
            f"{name} cannot be called without arguments: {error}",
            place=_defined_at(function),
            fix="give a function without arguments, or `lambda: ...` around it",
        ) from None
    except ValueError:
        pass  # a built-in without a signature: its call will tell

    def start() -> Iterable[Any]:
        items = function()
        if isinstance(items, str | bytes | Mapping) or not isinstance(items, Iterable):
            raise SampleError(
                f"{name} returned {type(items).__name__}, not samples",
                place=_defined_at(function),
                fix="return a list, or yield the samples",
            )
        return items

    return start


def _name(source: object) -> str:
    if callable(source) and hasattr(source, "__name__"):
        return f"{source.__name__}()"
    kind = type(source).__name__
    if kind in {"list", "tuple"}:
        return f"{kind} of samples"
    return f"a {kind}"


def _defined_at(function: Callable[..., Any]) -> str | None:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return None if code is None else f"{code.co_filename}:{code.co_firstlineno}"


def _raised_at(error: Exception) -> str | None:
    """Return file and line of the author's code nearest to the error."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return None if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
