"""Samples: what a task is run on, read again for every pass, each with an identity and, if declared, a truth.

Knows no task, no plan and no prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from llmbatch.call.failure import Failure, FailureKind
from llmbatch.errors import SampleError
from llmbatch.samples.formats import SUFFIXES, SampleFile
from llmbatch.samples.identity import Identities, declared_id
from llmbatch.samples.location import candidates, joined, near_names, shown
from llmbatch.samples.objects import SampleObjects
from llmbatch.samples.values import Record, Sample, canonical_json


class Samples:
    """Samples that can be iterated any number of times, each time from the start and in bounded memory.

    `name` is what messages and the progress line call them. Iterating raises SampleError for what concerns
    them as a whole; a single record that cannot be used is a Sample with `error` set.
    """

    def __init__(
        self, name: str, start: Callable[[], Iterator[Sample]], count: Callable[[], int] | None = None
    ) -> None:
        self.name = name
        self._start = start
        self._counted = count
        self._count: int | None = None

    def __iter__(self) -> Iterator[Sample]:
        return self._start()

    def __repr__(self) -> str:
        return f"Samples({self.name!r})"

    def count(self) -> int:
        """Return how many samples there are, bad ones included. The first call is a whole pass."""
        if self._count is None:
            self._count = sum(1 for _ in self) if self._counted is None else self._counted()
        return self._count

    def first(self) -> Sample | None:
        """Return the first sample without an error, or None."""
        return next((sample for sample in self if sample.error is None), None)

    def fields(self) -> list[str]:
        """Return the field names of the first good sample, the truth field included; empty without one."""
        first = self.first()
        return [] if first is None else list(first.data)


def open_samples(
    source: str | Path | Iterable[Any] | Callable[[], Iterable[Any]],
    *,
    base_folders: Sequence[Path] = (),
    truth: str | None = None,
    id_field: str | None = None,
    shape: type[BaseModel] | None = None,
    strict: bool = False,
) -> Samples:
    """Return the samples of a file, of an iterable that can be read again, or of a function that returns one.

    A path is looked for in each base folder in turn (the experiment's, then the project root). A record that
    is no JSON object, does not validate as `shape`, or lacks the truth or id field becomes a Sample with an
    error; with `strict` it raises instead. Raises SampleError for a missing file, an unknown format, and a
    source that can be read only once.
    """
    records: _Records
    if isinstance(source, str | Path):
        path = _found(source, base_folders)
        records = SampleFile(path, shown(path, base_folders))
        name = path.name
    else:
        records = SampleObjects(source)
        name = records.name
    reader = _Reader(records, truth, id_field, shape, strict)
    return Samples(name, reader.samples, reader.count)


_sample_of: Callable[[tuple[Any, ...]], Sample] = partial(tuple.__new__, Sample)  # a third of the time of Sample(...)


class _Records(Protocol):
    """What a file and an iterable have in common. `is_fixed`: every pass gives the same records, or an error."""

    name: str
    is_fixed: bool
    place_of_all: str  # what stands before the number of a record in its place

    def place(self, number: int) -> str: ...
    def records(self, *, only: str | None = None) -> Iterator[Record]: ...
    def count(self) -> int: ...


class _Reader:
    """Turns records into samples; one pass at a time has its own identities."""

    def __init__(
        self,
        records: _Records,
        truth: str | None,
        id_field: str | None,
        shape: type[BaseModel] | None,
        strict: bool,
    ) -> None:
        self._records = records
        self._place = records.place_of_all
        self._truth = truth
        self._id_field = id_field
        self._shape = shape
        self._strict = strict
        self._ids_are_new = False

    def samples(self) -> Iterator[Sample]:
        """Yield the samples of one pass."""
        identities = Identities()
        for record in self._records.records():
            yield self._sample(record, identities)

    def count(self) -> int:
        """Return the number of samples, and look at no more of each than what stops a run before it begins."""
        if self._strict:
            return sum(1 for _ in self.samples())
        if self._id_field is None:
            return self._records.count()
        is_first, number = Identities().is_first, 0
        for record in self._records.records(only=self._id_field):
            number += 1
            if record.data is None:
                continue
            value = record.data.get(self._id_field)
            declared = value if type(value) is str and value else declared_id(value)
            if declared is not None and not is_first(declared):
                self._refuse_second(declared, record)
        self._ids_are_new = self._records.is_fixed  # and need not be looked at in the passes that follow
        return number

    def _sample(self, record: Record, identities: Identities) -> Sample:
        place = f"{self._place}{record.number}"
        data = record.data
        if data is None:
            return self._bad(identities.of_content(record.raw), {}, record, record.problem)
        sample_id, problem = data.get(self._id_field) if self._ids_are_new and self._id_field else None, ""
        if type(sample_id) is not str or not sample_id:
            sample_id, problem = self._identified(data, record, identities)
        if self._truth is not None and self._truth not in data:
            problem = problem or _no_field(self._truth, "truth", data)
        if problem:
            return self._bad(sample_id, data, record, problem)
        truth = None if self._truth is None else data[self._truth]
        if self._shape is None:
            # from a file the value is a dict of its own: a task may change it, the row's columns stay
            value = dict(data) if record.value is None else record.value
            return _sample_of((sample_id, data, value, truth, None, place))
        if isinstance(record.value, self._shape):
            return Sample(sample_id, data, record.value, truth, None, place)
        try:
            value = self._shape.model_validate(data)
        except ValidationError as error:
            return self._bad(sample_id, data, record, _validation_problem(error, self._shape))
        return Sample(sample_id, data, value, truth, None, place)

    def _identified(self, data: dict[str, Any], record: Record, identities: Identities) -> tuple[str, str]:
        """Return the sample's id, and what is wrong with the declared one if it cannot be used."""
        if self._id_field is None:
            return identities.of_content(canonical_json(data)), ""
        declared = declared_id(data.get(self._id_field))
        if declared is None:
            problem = f"`{self._id_field}`, the id, is {_short(data.get(self._id_field))}"
            if self._id_field not in data:
                problem = _no_field(self._id_field, "id", data)
            return identities.of_content(canonical_json(data)), problem
        if not self._ids_are_new and not identities.is_first(declared):
            self._refuse_second(declared, record)
        return declared, ""

    def _refuse_second(self, declared: str, record: Record) -> None:
        """Raise SampleError where this record and an earlier one are whole and have this id.

        Both are read again: of the one only a hash was kept, and of the other maybe the id alone was looked at.
        """
        first, number = 0, record.number
        for again in self._records.records():
            if again.data is not None and declared_id(again.data.get(self._id_field or "")) == declared:
                if first and again.number == number:
                    raise SampleError(
                        f"two samples have the id {_short(declared)}",
                        place=self._records.place(number),
                        first=self._records.place(first),
                        fix=f"make `{self._id_field}` unique, or declare no id: content then tells samples apart",
                    )
                first = first or again.number
            if again.number >= number:
                return

    def _bad(self, sample_id: str, data: dict[str, Any], record: Record, problem: str) -> Sample:
        place = self._records.place(record.number)
        if self._strict:
            raise SampleError(problem, place=place, fix="correct or remove this sample")
        failure = Failure(FailureKind.SAMPLE_ERROR, f"{place}: {problem}")
        truth = None if self._truth is None else data.get(self._truth)
        return Sample(sample_id, data, None, truth, failure, place)


def _found(source: str | Path, base_folders: Sequence[Path]) -> Path:
    tried = candidates(source, base_folders)
    for path in tried:
        if path.is_file():
            return path
    wrong = next((path for path in tried if path.exists()), None)
    if wrong is not None:
        raise SampleError(f"{str(source)!r} is a folder, not a file of samples", fix="name one file in it")
    details = {"tried": "\n".join(str(path) for path in tried)}
    near = near_names(Path(source).name, {path.parent: None for path in tried}, SUFFIXES)
    near = [(Path(source).parent / name).as_posix() for name in near]
    if near:
        details["near"] = joined(near)
    fix = f"write {near[0]!r}" if near else "a path is relative to the experiment's folder, then to the project root"
    raise SampleError(f"there is no file {str(source)!r}", **details, fix=fix)


def _no_field(name: str, role: str, data: dict[str, Any]) -> str:
    near = get_close_matches(name, data, n=1)
    hint = f"; nearest: `{near[0]}`" if near else ""
    return f"no field `{name}`, the {role}; fields: {joined(data) or 'none'}{hint}"


def _validation_problem(error: ValidationError, shape: type[BaseModel]) -> str:
    """Return where and what, in our words: the library's own text carries links to its version."""
    parts = []
    for item in error.errors(include_url=False, include_context=False)[:3]:
        where = ".".join(str(step) for step in item["loc"]) or "the sample"
        parts.append(f"{where}: {item['msg']}, not {_short(item['input'])}")
    more = f"; and {error.error_count() - 3} more" if error.error_count() > 3 else ""
    return f"not a {shape.__name__}: " + "; ".join(parts) + more


def _short(value: object, most: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= most else text[: most - 1] + "…"
