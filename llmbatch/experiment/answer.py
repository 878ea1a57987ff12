"""What comes back from an ask. Knows no HTTP and cannot parse: the asking room fills it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeAlias, TypeVar, cast

from llmbatch.call.failure import Failure, FailureKind
from llmbatch.call.values import Reply
from llmbatch.errors import AnswerError, TaskError

if TYPE_CHECKING:  # `import llmbatch` loads no library, and a parser needs some
    from llmbatch.parse.completion import Completion

Cell: TypeAlias = "str | int | float | bool | Sequence[Cell] | Mapping[str, Cell] | None"
"""What a row can hold in one column."""

T_co = TypeVar("T_co", covariant=True)

_REPR_CHARACTERS = 60


class Origin(NamedTuple):
    """How an answer was asked for: the same for all that a variant asks in one way."""

    model: str | None = None
    mode: str | None = None
    parameters: Mapping[str, Any] = MappingProxyType({})
    prompt_fingerprint: str | None = None


_UNASKED = Origin()


class Reading(NamedTuple):
    """How an answer was found in the text: `how` is None where it was not.

    `normalised` says what was read as a label that it is not; `reasks` how often it was asked for again.
    """

    how: str | None = None
    normalised: str | None = None
    reasks: int = 0


_UNREAD = Reading()


class Answer(Generic[T_co]):
    """What came back; awaiting never raises for a bad answer, `.value` does.

    `text` is what the model said. `columns` are the answer's columns in a row; for a failed answer they are there
    too, and empty. `origin`, `completion` (None where there was none), `reply` and `reading` are what the row tells
    about the answer. An answer is not changed once it is made.
    """

    __slots__ = (
        "_asked", "_messages", "_others", "_value", "columns", "completion", "failure", "failure_detail",
        "failure_message", "origin", "reading", "reply", "text",
    )  # fmt: skip

    _others: Callable[[], list[Answer[Any]]] | list[Answer[Any]]
    """Not there for an ask for one choice, as nearly all are."""

    def __init__(  # noqa: PLR0917 - one is made for every ask, and names cost time
        self,
        value: T_co | None = None,
        failure: Failure | None = None,
        columns: Mapping[str, Any] = MappingProxyType({}),
        text: str = "",
        asked: Sequence[Mapping[str, Any]] = (),
        completion: Completion | None = None,
        origin: Origin = _UNASKED,
        reply: Reply | None = None,
        reading: Reading = _UNREAD,
    ) -> None:
        self._value: Final = value
        if failure is None:
            self.failure: FailureKind | None = None
            self.failure_message = self.failure_detail = ""
        else:
            self.failure = failure.kind
            self.failure_message = failure.message
            self.failure_detail = failure.detail
        self.columns: Final = columns
        self.text: Final = text
        self.completion: Final = completion
        self.origin: Final = origin
        self.reply: Final = reply
        self.reading: Final = reading
        self._asked = asked
        self._messages: list[Mapping[str, Any]] | None = None

    @property
    def messages(self) -> list[Mapping[str, Any]]:
        """The whole conversation, with the model's turn at the end."""
        if self._messages is None:
            self._messages = [*self._asked, *([] if self.completion is None else [self.completion.message])]
        return self._messages

    @property
    def choices(self) -> list[Answer[T_co]]:
        """All answers of a call that asked for several (`n` in `extra_body`), this one first."""
        others = getattr(self, "_others", None)
        if callable(others):
            others = self._others = others()
        return [self, *(others or ())]

    @property
    def ok(self) -> bool:
        """Whether there is a value."""
        return self.failure is None

    @property
    def value(self) -> T_co:
        """The parsed answer. Raises AnswerError, with `.kind` and `.text`, when there is none."""
        if self.failure is not None:
            raise AnswerError(self.failure_message or str(self.failure), kind=str(self.failure), text=self.text)
        return cast("T_co", self._value)

    def prob(self, field: str | None = None) -> Mapping[str, float]:
        """Return the probability of each label of the field named in `probability_of`, or of another closed one.

        They sum up to 1 less what could be attributed to no label. Raises AnswerError where the service gave none, and
        TaskError for an ask without `probability_of` or a field without labels.
        """
        raise TaskError(
            "prob() of an answer that was asked for without probability_of",
            fix=f"ask with probability_of={field or 'category'!r}: it asks the service for probabilities",
        )

    def row(self, **columns: Cell) -> AnswerRow:
        """Return the answer's columns, and more of the author's own. Raises TaskError if two share a name."""
        for name in columns:
            if name in self.columns:
                raise TaskError(
                    f"row({name}=...) gives a column that the answer has as well",
                    columns=", ".join(self.columns),
                    fix=f"use another name, for instance row(my_{name}=...)",
                )
        return AnswerRow(self, {**self.columns, **columns})

    def __repr__(self) -> str:
        said = self.text if len(self.text) <= _REPR_CHARACTERS else f"{self.text[:_REPR_CHARACTERS]}…"
        return f"<Answer {self.failure or 'ok'} {said!a}>"


class ScoredAnswer(Answer[T_co]):
    """An answer to an ask with `probability_of`; `scores` gives the probabilities, None where nothing was answered."""

    __slots__ = ("scores",)

    scores: Callable[[str | None], Mapping[str, float]] | None

    def prob(self, field: str | None = None) -> Mapping[str, float]:
        """Return the probability of each label of the field named in `probability_of`, or of another closed one."""
        if self.scores is None:
            raise AnswerError(self.failure_message or str(self.failure), kind=str(self.failure), text=self.text)
        return self.scores(field)


class AnswerRow(dict[str, Cell]):
    """Columns that know which answer they speak of, so that a failed answer makes a failed row."""

    def __init__(self, answer: Answer[Any], columns: Mapping[str, Cell]) -> None:
        super().__init__(columns)
        self.answer = answer
