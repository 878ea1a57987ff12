"""From the arguments of `ask(...)` to the bytes that are sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from llmbatch.asking.question import Arguments, manner_of, read_arguments, word
from llmbatch.cassette.address import Address
from llmbatch.cassette.aliases import Aliases
from llmbatch.cassette.scrub import Scrubber
from llmbatch.config import Endpoint, ModelSettings, ResolvedModel
from llmbatch.errors import PromptError, TaskError
from llmbatch.prompt import Template, parse_prompt_text


class Verdict(BaseModel):
    category: Literal["a", "b"]


def model(structured: Any = None, **defaults: Any) -> ResolvedModel:
    endpoint = Endpoint("local", "http://127.0.0.1:1/v1", structured=structured, defaults=defaults)
    return ResolvedModel("local/m", endpoint, "m", ModelSettings("m"))


def body(*arguments: Any, of: ResolvedModel | None = None, **options: Any) -> dict[str, Any]:
    read = read_arguments(arguments, options)
    template = parse_prompt_text(str(read.prompt), place="inline")
    sent: dict[str, Any] = json.loads(wire_of(read, template, of or model()))
    return sent


def wire_of(read: Arguments, template: Template, of: ResolvedModel) -> bytes:
    manner = manner_of(read, of, Address(Scrubber(), Aliases(), "POST", of.chat_url, of.key_headers))
    return manner.envelope.around(word(read, template, manner, frozenset({"label"}))).wire


def test_golden_bytes_of_a_structured_question() -> None:
    """The bytes become the key: a release of pydantic or of ours that moved them would pay for everything again."""
    read = read_arguments((Verdict, "Sort {text}", {"text": "é"}), {})
    template = parse_prompt_text("Sort {text}", place="inline")

    wire = wire_of(read, template, model())

    expected = (
        '{"model":"m","messages":[{"role":"system","content":"You are a helpful assistant."},'
        '{"role":"user","content":"Sort é"}],"response_format":{"type":"json_schema","json_schema":{"name":"Verdict",'
        '"schema":{"type":"object","properties":{"category":{"type":"string","enum":["a","b"]}},'
        '"required":["category"],"additionalProperties":false},"strict":true}},'
        '"temperature":0.0,"top_p":0.001,"max_tokens":500}'
    )
    assert expected == wire.decode()


def test_a_question_without_a_shape_sends_no_format() -> None:
    """The answer is the text."""
    assert "response_format" not in body("Say something")


@pytest.mark.parametrize(("mode", "sent"), [("json_object", {"type": "json_object"}), ("text", None)])
def test_weaker_modes_put_the_schema_into_the_prompt(mode: str, sent: dict[str, str] | None) -> None:
    """A service that does not honour a schema must be told in words."""
    request = body(Verdict, "Sort it", of=model(mode))

    assert sent == request.get("response_format")
    assert '"enum":["a","b"]' in request["messages"][-1]["content"]


def test_in_tool_mode_the_shape_is_one_function_and_nothing_is_said_of_it() -> None:
    """The schema travels as the function's parameters; the question stays as it is."""
    request = body(Verdict, "Sort it", of=model("tool"))

    (tool,) = request["tools"]
    assert ("Verdict", ["a", "b"]) == (
        tool["function"]["name"],
        tool["function"]["parameters"]["properties"]["category"]["enum"],
    )
    assert ("required", "Sort it") == (request["tool_choice"], request["messages"][-1]["content"])
    assert "response_format" not in request


def test_options_stand_over_the_defaults_of_the_endpoint() -> None:
    """What the ask says is nearest; None takes a parameter out."""
    request = body("Say", of=model(temperature=0.3, seed=1), seed=7, max_tokens=None, extra_body={"top_k": 5})

    assert (0.3, 1.0, 7, 5) == (request["temperature"], request["top_p"], request["seed"], request["top_k"])
    assert "max_tokens" not in request


@pytest.mark.parametrize("reasks", [-1, "2", 1.5, True, None])
def test_a_number_of_re_asks_that_is_none_is_refused(reasks: object) -> None:
    """Taken for 0 or 1 it would change what is paid without a word."""
    with pytest.raises(TaskError, match="reasks is"):
        read_arguments(("Which?",), {"reasks": reasks})


def test_an_unknown_option_is_named_with_the_nearest() -> None:
    """A misspelt option would silently change what is asked."""
    with pytest.raises(TaskError, match="`temprature`") as raised:
        read_arguments(("Say",), {"temprature": 1.0})

    assert "write temperature=" in str(raised.value)


@pytest.mark.parametrize("arguments", [(), (Verdict,), ("a", {}, {}), (Verdict, "a", {}, {})])
def test_a_wrong_number_of_arguments_shows_the_two_forms(arguments: tuple[Any, ...]) -> None:
    """`ask(prompt, fields)` or `ask(Shape, prompt, fields)`."""
    with pytest.raises(TaskError, match="ask got"):
        read_arguments(arguments, {})


def test_a_literal_is_a_shape_and_a_path_a_prompt() -> None:
    """Told apart by kind, not by place alone."""
    read = read_arguments((Literal["yes", "no"], Path("q.md"), {"a": 1}), {})

    assert (Literal["yes", "no"], Path("q.md"), {"a": 1}) == (read.shape, read.prompt, read.fields)


def test_a_pydantic_sample_gives_fields() -> None:
    """A typed sample is passed as it is."""
    assert {"category": "a"} == read_arguments(("{category}", Verdict(category="a")), {}).fields


def test_fields_that_are_no_mapping_are_an_error() -> None:
    """A list or a text has no names."""
    with pytest.raises(TaskError, match="list"):
        read_arguments(("{a}", ["a"]), {})


def test_the_withheld_field_cannot_be_asked_for() -> None:
    """Whatever mapping is passed."""
    with pytest.raises(PromptError, match="label"):
        body("{label}", {"label": "a"})
