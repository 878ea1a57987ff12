"""One question of each kind that `ask` can put: every mode, every kind of shape, conversations, parameters."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, conint
from typing_extensions import TypedDict

from llmbatch.asking.asker import Asker, Asking
from llmbatch.asking.question import Question
from llmbatch.asking.reading import answer_of
from llmbatch.call.values import Reply
from llmbatch.cassette.case import CaseContext
from llmbatch.cassette.store import Store
from llmbatch.config import Endpoint, ModelSettings, ResolvedModel, StructuredMode
from llmbatch.experiment.answer import Answer
from llmbatch.prompt import Prompts
from tests.golden.golden_file import Golden

FILE = "ask.jsonl"
LIBRARIES = ("pydantic", "pydantic-core", "orjson")
MODES: tuple[StructuredMode, ...] = ("json_schema", "json_object", "text")


class Colour(Enum):
    """Which one it is."""

    RED = "red"
    GREEN = "green"


class Level(int, Enum):
    LOW = 1
    HIGH = 2


class Part(BaseModel):
    """A part of the whole."""

    name: str
    weight: float = Field(description="In grams, not in kilograms.")


class Flat(BaseModel):
    category: Literal["a", "b"]
    steps: list[str]
    count: int
    share: float
    sure: bool


class Nested(BaseModel):
    """Nested, and with words about itself."""

    part: Part
    parts: list[Part]
    matrix: list[list[int]]


class Choices(BaseModel):
    maybe: str | None
    later: Part | None = None
    either: int | str | Part
    colour: Colour = Colour.GREEN
    level: Level
    mixed: Literal["a", 1, True, None]


class Described(BaseModel):
    """Descriptions and titles, at every place they can stand."""

    plain: str = Field(description='Quotes " and é and \u2028 stay.', title="A title")
    labelled: Annotated[Colour, Field(description="Beside a reference.")]
    aliased: str = Field(alias="otherName", default="x")


class Constrained(BaseModel):
    short: Annotated[str, Field(min_length=1, max_length=9, pattern="^[a-z]+$")]
    bounded: conint(ge=0, le=10)  # type: ignore[valid-type]
    some: Annotated[list[int], Field(min_length=1, max_length=3)]
    fixed: Literal["only"] = "only"


class Tree(BaseModel):
    value: int
    children: list[Tree]


class Typed(TypedDict):
    one: int
    two: list[str]


@dataclass
class Data:
    one: int
    two: str = "x"


SHAPES: dict[str, Any] = {
    "str": str,
    "bool": bool,
    "int": int,
    "float": float,
    "literal": Literal["yes", "no"],
    "literal-of-numbers": Literal[1, 2, 3],
    "enum": Colour,
    "list": list[str],
    "optional": int | None,
    "union": int | str,
    "flat": Flat,
    "nested": Nested,
    "choices": Choices,
    "described": Described,
    "constrained": Constrained,
    "recursive": Tree,
    "typed-dict": Typed,
    "dataclass": Data,
    "list-of-models": list[Part],
}

OPTIONS: dict[str, dict[str, Any]] = {
    "temperature-1": {"temperature": 1},
    "temperature-and-top-p": {"temperature": 0.7, "top_p": 0.95, "max_tokens": 9},
    "seed-and-stop": {"seed": 2**70, "stop": ["\n", "END"]},
    "extra-body": {"extra_body": {"top_k": 5, "chat_template_kwargs": {"z": 1, "a": False}, "seed": 1}},
    "max-completion-tokens": {"extra_body": {"max_completion_tokens": 100, "temperature": None, "top_p": None}},
    "choices-as-a-stream": {"extra_body": {"n": 3, "stream": True, "stream_options": {"include_usage": True}}},
    "nothing-optional": {"temperature": None, "top_p": None, "max_tokens": None},
}


def weigh(part: Part, unit: Annotated[Literal["g", "oz"], Field(description="of the result")]) -> float:
    """Weigh a part.

    It is put on a scale.
    """
    return part.weight if unit == "g" else part.weight / 28.35


def weigh_all(parts: list[Part], most: int = 3) -> dict[str, float]:
    return {part.name: part.weight for part in parts[:most]}


FEW_SHOT = [
    {"role": "system", "content": "Sort."},
    {"role": "user", "content": "x"},
    {"role": "assistant", "content": '{{"category": "a"}}'},
    {"role": "user", "content": "and {text}?"},
]
PARTS = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}]


def ask_requests() -> Iterator[Golden]:
    """Yield each request as `ask` keys and sends it."""
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder)) as store:
        puts = _Puts(store)
        for name, shape in SHAPES.items():
            for mode in MODES if shape is not str else MODES[:1]:
                yield puts.golden(f"{name}/{mode}", puts.question(mode, shape, "Sort {text}", {"text": "é"}))
        for name, options in OPTIONS.items():
            yield puts.golden(name, puts.question("json_schema", "Say it", **options))
        for mode in MODES:
            yield puts.golden(f"few-shot/{mode}", puts.question(mode, Flat, FEW_SHOT, {"text": "this"}))
            first = puts.question(mode, Flat, "Sort {text}", {"text": "x"})
            answer = puts.answer(first, '{"category": "c", "steps": "no list", "count": 1.5, "extra": 1}')
            yield puts.golden(f"after/{mode}", puts.question(mode, Flat, "Why not {x}?", {"x": "b"}, after=answer))
            again = puts.asker._reask(first, answer, puts.case())
            yield puts.golden(f"re-ask-of-a-wrong-value/{mode}", again)
            again = puts.asker._reask(first, puts.answer(first, "I cannot say."), puts.case())
            yield puts.golden(f"re-ask-of-no-json/{mode}", again)
        yield puts.golden("third-draw-of-repeat-2", puts.question("json_schema", "Say it", draw=3, repeat=2))
        yield puts.golden("odd-characters", puts.question("text", "{x}", {"x": "a\ud800 \u0085 \x7f \u2028 \0"}))
        yield from puts.with_tools()
        for text in ("one", "é \u2028"):
            [question] = puts.asker.prepare_texts([text], None, Asking(puts.case(), _model("text")))
            yield puts.golden(f"embedding/{text}", question)
        image = Path(folder) / "dot.png"
        image.write_bytes(b"\x89PNG")
        picture = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": image}}]}]
        yield puts.golden("file", puts.question("text", picture))
        yield puts.golden("parts/text", puts.question("text", Flat, PARTS))


class _Puts:
    """Puts questions as a case does, to one endpoint with a header of its own."""

    def __init__(self, store: Store) -> None:
        self.asker = Asker(store, Prompts([]), lambda text: _model("json_schema"))

    def case(self, repeat: int = 0) -> CaseContext:
        return CaseContext("task[variant]::sample", repeat)

    def question(self, mode: StructuredMode, *arguments: Any, repeat: int = 0, **options: Any) -> Question:
        asking = Asking(self.case(repeat), _model(mode), frozenset({"label"}))
        return self.asker.prepare(arguments, options, asking)

    def with_tools(self) -> Iterator[Golden]:
        """Yield questions with functions, in every mode, and the turns after calls, right and wrong ones."""
        for mode in (*MODES, "tool"):
            question = self.question(mode, Flat, "Sort {text}", {"text": "x"}, tools=[weigh, weigh_all])
            yield self.golden(f"tools/{mode}", question)
            function = {"name": "weigh", "arguments": '{"part":{"name":"a","weight":2},"unit":"g"}'}
            wrong = {"name": "weigh", "arguments": '{"part":{"name":"a","weight":"x"},"unit":"kg"}'}
            calls = [
                {"id": f"c{at}", "type": "function", "function": each} for at, each in enumerate([function, wrong])
            ]
            turns = asyncio.run(self.asker.tool_turns.after(question, self.answer(question, None, calls), self.case()))
            assert turns is not None
            yield self.golden(f"tool-turns/{mode}", self.asker._following(question, turns, self.case()))

    def answer(self, question: Question, text: str | None, calls: list[Any] | None = None) -> Answer[Any]:
        message = {"role": "assistant", "content": text, **({} if calls is None else {"tool_calls": calls})}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        answer, _ = answer_of(question, Reply(200, "OK", {}, json.dumps({"choices": [choice]}).encode()))
        return answer

    def golden(self, name: str, question: Question) -> Golden:
        return Golden.of(name, question.call(), question.wire)


def _model(mode: StructuredMode) -> ResolvedModel:
    endpoint = Endpoint("golden", "http://golden.example:8000/v1", structured=mode)
    return ResolvedModel("golden/m", endpoint, "m", ModelSettings("m"))
