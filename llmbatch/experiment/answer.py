"""What comes back from an ask. Knows no HTTP and no parser: the asking room fills it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Generic, TypeAlias, TypeVar, cast

from llmbatch.call.failure import Failure, FailureKind
from llmbatch.call.values import Reply
from llmbatch.errors import AnswerError, TaskError

Cell: TypeAlias = "str | int | float | bool | Sequence[Cell] | Mapping[str, Cell] | None"
"""What a row can hold in one column."""

T_co = TypeVar("T_co", covariant=True)

_REPR_CHARACTERS = 60


class Answer(Generic[T_co]):
    """What came back; awaiting never raises for a bad answer, `.value` does.

    `text` is what the model said, `messages` the whole conversation with its turn at the end. `columns` are
    the answer's columns in a row; for a failed answer they are there too, and empty. The other attributes
    are what the row tells about the answer. An answer is not changed once it is made.
    """

    __slots__ = (
        "_value", "columns", "failure", "failure_detail", "failure_message", "fingerprint", "finish_reason",
        "messages", "mode", "model", "parameters", "prompt_fingerprint", "reply", "served_model", "text",
        "tokens",
    )  # fmt: skip

    def __init__(
        self,
        *,
        value: T_co | None = None,
        failure: Failure | None = None,
        columns: Mapping[str, Any] | None = None,
        text: str = "",
        messages: Sequence[Mapping[str, Any]] = (),
        model: str | None = None,
        mode: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        prompt_fingerprint: str | None = None,
        finish_reason: str | None = None,
        served_model: str | None = None,
        fingerprint: str | None = None,
        tokens: Mapping[str, int] | None = None,
        reply: Reply | None = None,
    ) -> None:
        self._value: Final = value
        self.failure: Final[FailureKind | None] = failure.kind if failure is not None else None
        self.failure_message: Final[str] = failure.message if failure is not None else ""
        self.failure_detail: Final[str] = failure.detail if failure is not None else ""
        self.columns: Final[Mapping[str, Any]] = columns if columns is not None else {}
        self.text: Final[str] = text
        self.messages: Final[list[Mapping[str, Any]]] = list(messages)
        self.model: Final[str | None] = model
        self.mode: Final[str | None] = mode
        self.parameters: Final[Mapping[str, Any]] = parameters if parameters is not None else {}
        self.prompt_fingerprint: Final[str | None] = prompt_fingerprint
        self.finish_reason: Final[str | None] = finish_reason
        self.served_model: Final[str | None] = served_model
        self.fingerprint: Final[str | None] = fingerprint
        self.tokens: Final[Mapping[str, int]] = tokens if tokens is not None else {}
        self.reply: Final[Reply | None] = reply

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


class AnswerRow(dict[str, Cell]):
    """Columns that know which answer they speak of, so that a failed answer makes a failed row."""

    def __init__(self, answer: Answer[Any], columns: Mapping[str, Cell]) -> None:
        super().__init__(columns)
        self.answer = answer
