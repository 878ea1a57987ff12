"""What a model is told of a Python function, and what becomes of the arguments that it gives."""

from __future__ import annotations

import json
from functools import partial, wraps
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from llmbatch.asking.function_tool import ArgumentsError, declared_tools, function_tool
from llmbatch.errors import TaskError


class Place(BaseModel):
    title: str
    line: int


def look_up(word: Annotated[str, Field(description="one word")], kind: Literal["noun", "verb"], at: Place) -> str:
    """Look a word up.

    Words are English.
    """
    return f"{word} {kind} {at.title}"


def search(text: str, most: int = 3, title: str | None = None) -> list[str]:
    return [text] * most


async def today() -> str:
    """Say which day it is."""
    return "Monday"


def test_golden_declarations() -> None:
    """They are part of recorded requests: a release of pydantic that moved them would pay for everything again."""
    declared = [each.declaration("json_schema") for each in declared_tools([look_up, search, today]).values()]

    expected = (
        '[{"type":"function","function":{"name":"look_up","description":"Look a word up.\\n\\nWords are English.",'
        '"parameters":{"type":"object","properties":{"word":{"type":"string","description":"one word"},'
        '"kind":{"type":"string","enum":["noun","verb"]},"at":{"$ref":"#/$defs/Place"}},'
        '"required":["word","kind","at"],"additionalProperties":false,"$defs":{"Place":{"type":"object",'
        '"properties":{"title":{"type":"string"},"line":{"type":"integer"}},"required":["title","line"],'
        '"additionalProperties":false}}},"strict":true}},'
        '{"type":"function","function":{"name":"search","parameters":{"additionalProperties":false,'
        '"properties":{"text":{"type":"string"},"most":{"type":"integer"},'
        '"title":{"anyOf":[{"type":"string"},{"type":"null"}]}},"required":["text"],"type":"object"}}},'
        '{"type":"function","function":{"name":"today","description":"Say which day it is.",'
        '"parameters":{"type":"object","properties":{},"required":[],"additionalProperties":false},"strict":true}}]'
    )
    assert expected == json.dumps(declared, separators=(",", ":"))
    assert "strict" not in function_tool(look_up).declaration("tool")["function"]


def test_arguments_are_validated_and_made_what_the_function_takes() -> None:
    """Defaults are the function's own; objects are taken as JSON text is."""
    written = {"word": "run", "kind": "verb", "at": {"title": "a", "line": "3"}}

    assert function_tool(look_up).arguments(json.dumps(written)) == {**written, "at": Place(title="a", line=3)}
    assert function_tool(search).arguments({"text": "a"}) == {"text": "a"}
    assert [{}, {}, {}] == [function_tool(today).arguments(nothing) for nothing in (None, " ", "{}")]


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ('{"word":"run","kind":"name","at":{"title":"a","line":3}}', "kind: 'name' is not one of noun, verb"),
        ('{"word":"run","kind":"verb","at":{"title":"a","line":"x"}}', "at.line: 'x' is not an integer"),
        ('{"word":"run","kind":"verb"}', "at: missing"),
        ('{"term":"run"}', "look_up has no argument `term`; it has: word, kind, at"),
        ('{"word":"ru', "the arguments are not a JSON object"),
        ("[1]", "the arguments are not a JSON object"),
        (7, "the arguments are not a JSON object"),
    ],
)
def test_wrong_arguments_are_told_in_words_of_ours(written: object, words: str) -> None:
    """The model reads them, so they are part of a recorded request."""
    with pytest.raises(ArgumentsError) as raised:
        function_tool(look_up).arguments(written)

    assert words == str(raised.value)


def test_functions_of_one_definition_are_declared_once() -> None:
    """One that is defined within a task is a new function in each case; another type is another declaration."""

    def within(kind: Any) -> Any:
        def find(word: str) -> str:
            return word

        find.__annotations__["word"] = kind
        return find

    assert function_tool(within(str)) is function_tool(within(str))
    assert function_tool(within(str)) is not function_tool(within(int))
    assert function_tool(within(Literal["a", "b"])) is not function_tool(within(Literal["b", "a"]))


def test_functions_that_are_made_by_one_function_are_told_apart() -> None:
    """By the names they are given; and a wrapper that is awaited is not what it wraps."""

    def made(name: str) -> Any:
        def tool(word: str) -> str:
            return name + word

        tool.__name__ = name
        return tool

    @wraps(search)
    async def searched(*arguments: Any) -> list[str]:
        return search(*arguments)

    assert ["first", "second"] == list(declared_tools([made("first"), made("second")]))
    assert (True, False) == (function_tool(searched).is_async, function_tool(search).is_async)


def test_what_a_model_says_without_end_is_cut_in_what_it_is_told() -> None:
    """Its own words come back to it, and are paid for."""
    deep: dict[str, Any] = {}
    for _ in range(300):
        deep = {"text": deep}

    with pytest.raises(ArgumentsError, match="not a JSON object"):
        function_tool(search).arguments(deep)
    with pytest.raises(ArgumentsError) as raised:
        function_tool(search).arguments({"x" * 100_000: 1})

    assert len(str(raised.value)) < 200


def untyped(word) -> str:  # type: ignore[no-untyped-def]
    return str(word)


def many(*words: str) -> str:
    return " ".join(words)


def opaque(value: partial[int]) -> int:
    return value()


def yields() -> Any:
    yield 1


def lost(value: Nowhere) -> None:  # type: ignore[name-defined]  # noqa: F821
    """Have an annotation that names nothing."""


@pytest.mark.parametrize(
    ("tools", "message"),
    [
        (look_up, "tools= is a function, not a list"),
        ("look_up", "tools= is a str, not a list"),
        (["look_up"], "which is no function"),
        ([partial(search, "a")], "which is no function"),
        ([Place], "which is no function"),
        ([lambda: 1], "a function without a name"),
        ([untyped], "the parameter `word` of the tool untyped has no type"),
        ([many], "the tool many takes `*words`"),
        ([opaque], "the parameters of the tool opaque have no JSON schema"),
        ([yields], "the tool yields yields"),
        ([lost], "an annotation of the tool lost cannot be looked up"),
        ([search, search], "two tools are named search"),
    ],
)
def test_what_is_no_tool_is_an_error_of_the_author(tools: Any, message: str) -> None:
    """Found when the question is put, so that no call is made."""
    with pytest.raises(TaskError) as raised:
        declared_tools(tools)

    assert message in raised.value.what
    assert raised.value.details["fix"]


def test_a_tool_with_the_name_of_the_answers_shape_is_refused() -> None:
    """Where the shape travels as a function, the two would be one."""
    with pytest.raises(TaskError, match="both named search"):
        declared_tools([search], "search")
