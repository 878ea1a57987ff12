"""What an ask with `probability_of` asks for besides, and what its answers say of the labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from llmbatch.call.failure import FailureKind
from llmbatch.call.values import Reply
from llmbatch.columns import PROBABILITY_COLUMNS, PROBABILITY_DTYPES
from llmbatch.config import ResolvedModel
from llmbatch.errors import AnswerError, TaskError
from llmbatch.parse.body import load_body
from llmbatch.parse.probability import ClosedField, Measured, closed_field, measure, why_not_comparable
from llmbatch.parse.shape import Shape
from llmbatch.parse.stream import is_stream, join_stream

TOP_LOGPROBS = 20
"""As many as the services list at most."""
_DIGITS = 9
"""That count, of a number in a row: as many as a float32 has, and few enough to be the same on every machine."""


@dataclass(frozen=True, slots=True)
class Scoring:
    """How the probabilities of one ask are come by.

    `asked` is how many tokens are to be listed at each place, 0 where none are asked for; `not_comparable` says why
    repeats would not answer the labels as often as their probabilities say, and is empty where they would; `probed`
    is what a probe found wrong with the service's numbers, and `not_asked` why none are asked for.
    """

    shape: Shape[Any]
    field: ClosedField
    asked: int
    not_comparable: str
    probed: Literal["masked", "rescaled"] | None = None
    not_asked: str = "no logprobs were asked for"

    def where_asked_again(self, reasks: int) -> Scoring:
        """Return the same for a question that may be asked again: which answers are kept is then no draw any more."""
        reasons = [self.not_comparable] if self.not_comparable else []
        return replace(self, not_comparable=", ".join([*reasons, f"reasks {reasks}"])) if reasks else self

    def measured(self, reply: Reply, text: str, path: str | None = None) -> Measured | str:
        """Return the probabilities at the place (or at another one of the same answer), or why there are none."""
        field = self.field if path is None or path == self.field.path else closed_field(self.shape, path)
        if not self.asked:
            return self.not_asked
        found = measure(_document_of(reply), text, field, self.asked)
        if isinstance(found, Measured) and found.source == "logprobs" and self.probed is not None:
            return replace(found, source=self.probed, doubt=f"a probe found the service's logprobs {self.probed}")
        return found

    def columns(self, measured: Measured | str | None) -> dict[str, Any]:
        """Return the columns of PROBABILITY_COLUMNS; where nothing is known only the source and the note are filled."""
        if not isinstance(measured, Measured):
            return {**_EMPTY, "prob_note": measured}
        spread = measured.spread
        is_own = measured.source == "logprobs"
        frequencies = f"not comparable with frequencies: {self.not_comparable}" if self.not_comparable else ""
        return {
            "prob": _rounded(spread.attributed[measured.place]) if is_own else None,
            "prob_labels": _by_label(measured, spread.attributed),
            "prob_ranges": _by_label(measured, zip(spread.certain, spread.possible, strict=True)),
            "prob_missing": _rounded(spread.missing),
            "prob_first_token": _rounded(measured.first_token),
            "prob_source": measured.source,
            "prob_comparable": is_own and not self.not_comparable,
            "prob_note": "; ".join(said for said in (measured.doubt, frequencies) if said) or None,
        }


_EMPTY: Mapping[str, Any] = {column.name: None for column in PROBABILITY_COLUMNS} | {"prob_source": "none"}


def _by_label(measured: Measured, values: Iterable[float | tuple[float, float]]) -> dict[str, Any]:
    return {
        label: [_rounded(end) for end in value] if isinstance(value, tuple) else _rounded(value)
        for label, value in zip(measured.field.labels, values, strict=True)
    }


def _rounded(probability: float) -> float:
    return float(f"{probability:.{_DIGITS}g}")


def _document_of(reply: Reply) -> Any:
    body = reply.body
    return join_stream(body) if is_stream(body, reply.header("content-type")) else load_body(body)


def scoring_of(
    path: object, shape: Shape[Any], model: ResolvedModel, parameters: Mapping[str, Any], mode: str
) -> Scoring:
    """Return how the probabilities of a place are come by. Raises TaskError for a path that leads to no labels."""
    if not isinstance(path, str):
        raise TaskError(f"probability_of={path!r} is no name of a field", fix='write probability_of="category"')
    clashing = [name for name in shape.fields if name in PROBABILITY_DTYPES]
    if clashing:
        raise TaskError(
            f"{shape.name} has a field `{clashing[0]}`, and so has every row of an ask with probability_of",
            reserved=", ".join(PROBABILITY_DTYPES),
            fix=f"rename it, for instance `answer_{clashing[0]}`",
        )
    field = closed_field(shape, path)
    asked = parameters.get("top_logprobs")
    not_comparable = why_not_comparable(parameters, mode, model.base_url)
    if "temperature" in model.capabilities.ignored:
        ignored = "a probe found that the service does not follow temperature"
        not_comparable = f"{not_comparable}, {ignored}" if not_comparable else ignored
    asked = asked if type(asked) is int and parameters.get("logprobs") else 0
    scoring = Scoring(shape, field, asked, not_comparable, _probed(model, parameters))
    if not _refuses(model) or "logprobs" in parameters:
        return scoring
    return replace(scoring, not_asked="no logprobs were asked for: a probe found that the model refuses them")


def _probed(model: ResolvedModel, parameters: Mapping[str, Any]) -> Literal["masked", "rescaled"] | None:
    """Return what a probe found wrong; numbers that follow the temperature are the model's own at temperature 1."""
    found = model.capabilities.logprobs
    if found == "masked":
        return "masked"
    is_neutral = parameters.get("temperature") == 1 and parameters.get("top_p", 1) == 1
    return "rescaled" if found == "rescaled" and not is_neutral else None


def with_logprobs(parameters: Mapping[str, Any], model: ResolvedModel) -> dict[str, Any]:
    """Return request parameters that ask for the probabilities of tokens as well, unless the model refuses that.

    What author or configuration say of them stands.
    """
    if _refuses(model):
        return dict(parameters)
    most = min(TOP_LOGPROBS, model.capabilities.most_alternatives)
    return {"logprobs": True, "top_logprobs": most, **parameters}


def _refuses(model: ResolvedModel) -> bool:
    return "refused" in (model.capabilities.logprobs, model.capabilities.top_logprobs)


class Scored:
    """Gives an answer its probabilities, also at other places than the one that was asked for."""

    __slots__ = ("_found", "_reply", "_scoring", "_text")

    def __init__(self, scoring: Scoring, reply: Reply, text: str) -> None:
        self._scoring, self._reply, self._text = scoring, reply, text
        self._found = {scoring.field.path: scoring.measured(reply, text)}

    @property
    def columns(self) -> dict[str, Any]:
        """The columns of the place that was asked for."""
        return self._scoring.columns(self._found[self._scoring.field.path])

    def __call__(self, path: str | None) -> Mapping[str, float]:
        """Return the probability of each label.

        Raises TaskError for a place without labels, AnswerError where there are no numbers.
        """
        path = path or self._scoring.field.path
        if path not in self._found:
            self._found[path] = self._scoring.measured(self._reply, self._text, path)
        found = self._found[path]
        if not isinstance(found, Measured) or found.source != "logprobs":
            reason = found if isinstance(found, str) else f"{found.source}: {found.doubt}"
            raise AnswerError(f"no probabilities of {path}: {reason}", kind=FailureKind.TASK_ERROR, text=self._text)
        return _by_label(found, found.spread.attributed)
