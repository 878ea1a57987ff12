"""The rows of one task as the samples of another: which there are is known before any is made. Asks nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from llmbatch.call.failure import Failure, FailureKind
from llmbatch.columns import PREFIX, TRUTH, VOLATILE_COLUMNS
from llmbatch.plan.cases import Case, PlannedTask, cases_of
from llmbatch.samples import Sample, Samples


class RowsAsSamples(Samples):
    """A sample for each case of the source, in its order. `value` is the Case, whose row is made when it is wanted.

    The sample's id is that of the case. No selection applies: the source has its own.
    """

    def __init__(self, source: PlannedTask) -> None:
        super().__init__(f"the rows of {source.name}", self._samples, source.count)
        self._source = source

    def _samples(self) -> Iterator[Sample]:
        return map(sample_of, cases_of(self._source))

    def first(self) -> Sample | None:
        """Return the first sample whose own case has one, or None."""
        return next((sample for sample in self if sample.value.sample.error is None), None)

    def fields(self) -> list[str]:
        """Return the columns that a row is known to have: the sample's, the truth and the declared ones."""
        source = self._source
        fields = [name for name in source.samples.fields() if name != source.truth]
        return [*fields, *([] if source.truth is None else [TRUTH]), *(source.columns or ())]


def sample_of(case: Case) -> Sample:
    """Return the sample that a case's row will be."""
    return Sample(case.id, {}, case)


def with_row(case: Case, row: Mapping[str, Any], failure: Failure | None) -> Case:
    """Return the case with the row of its source's case as its sample.

    A row without a good answer gives a sample that cannot be used, with the category of that row: nothing is asked
    about what is not there. Columns that two recordings cannot share are left out, since prompts are made of samples.
    """
    task, sample = case.task, case.sample
    value = {name: cell for name, cell in row.items() if name not in VOLATILE_COLUMNS}
    data = {name: cell for name, cell in value.items() if not name.startswith(PREFIX)}
    if failure is not None:
        failure = Failure(failure.kind, f"{sample.id}: {failure.message}", failure.detail)
    elif task.truth is not None and task.truth not in data:
        known = ", ".join(data) or "none"
        said = f"{sample.id}: no column `{task.truth}`, the truth; columns: {known}"
        failure = Failure(FailureKind.SAMPLE_ERROR, said)
    used: Any = value
    shape = task.injection.sample_shape
    if shape is not None and failure is None:
        try:
            used = shape.model_validate(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            where = ".".join(str(step) for step in first["loc"]) or "the row"
            failure = Failure(FailureKind.SAMPLE_ERROR, f"{sample.id}: not a {shape.__name__}: {where}: {first['msg']}")
    truth = None if task.truth is None else data.get(task.truth)
    made = Sample(sample.id, data, used, truth, failure, sample.id)
    return Case(case.index, task, case.variant, made, case.repeat, case.id)
