"""What a task is given to ask with: the `Ask` protocol and the `Model` it is bound to. It cannot ask."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypedDict, TypeVar, overload

from typing_extensions import TypeForm, Unpack

from llmbatch.experiment.answer import Answer

if TYPE_CHECKING:  # a type of a signature only
    from pydantic import BaseModel

T = TypeVar("T")

Prompt: TypeAlias = str | Path | Sequence[Mapping[str, Any]]
"""One word that ends in .md or .txt is a file under prompts/; any other string is the text."""

Fields: TypeAlias = "Mapping[str, Any] | BaseModel"
"""What {placeholders} may see; the truth field is withheld."""


class AskOptions(TypedDict, total=False):
    """What one ask may set apart from its question."""

    model: str
    temperature: float
    top_p: float
    max_tokens: int
    seed: int
    stop: str | Sequence[str]
    reasks: int
    """How often to ask again, with the fault named, when the answer does not fit its shape."""
    tools: Sequence[Callable[..., Any]]
    """Functions the model may call: what they return is sent back, until it answers."""
    probability_of: str
    """The field with a closed set of labels whose probabilities are asked for: `category`, `items[0].label`."""
    after: Answer[Any]
    """The answer whose conversation this question continues."""
    draw: int
    """Which of several equal questions of one case this is; needed where branches run at once."""
    extra_body: Mapping[str, Any]
    """Members of the request body that are sent as they are."""


class Ask(Protocol):
    """Puts one question to the case's model.

    The question is fixed when `ask(...)` is called; awaiting what it returns brings the answer. Without a
    shape the answer is the text. Raises PromptError for a placeholder without a field and TaskError for an
    unknown option, never for what the model says.
    """

    @overload
    def __call__(
        self, prompt: Prompt, fields: Fields = ..., /, **options: Unpack[AskOptions]
    ) -> Coroutine[Any, Any, Answer[str]]: ...
    @overload
    def __call__(
        self, shape: TypeForm[T], prompt: Prompt, fields: Fields = ..., /, **options: Unpack[AskOptions]
    ) -> Coroutine[Any, Any, Answer[T]]: ...

    async def embed(self, texts: Sequence[str], *, model: str = ...) -> list[list[float]]:
        """Return one vector for each text, in their order; each is recorded by itself. Raises AnswerError."""
        ...


class Model(str):
    """`endpoint/model` as written; `.name`, `.base_url`, `.api_key` for other SDKs.

    `name` is what the service calls it. `api_key` is empty where the endpoint needs none, and never shown.
    """

    __slots__ = ("api_key", "base_url", "name")

    name: str
    base_url: str
    api_key: str

    def __new__(cls, written: str, *, name: str = "", base_url: str = "", api_key: str = "") -> Model:
        model = super().__new__(cls, written)
        model.name = name or written.partition("/")[2] or written
        model.base_url = base_url
        model.api_key = api_key
        return model

    def __repr__(self) -> str:
        return f"Model({str(self)!r})"

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)  # a pickle or a copy that leaves the task carries no key
