"""Ids of variants: short, readable, and each its own."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmbatch.experiment.parameter import parametrize
from llmbatch.experiment.words import task
from llmbatch.plan.variant import value_id, variants_of


def ids(*parameters: tuple[str, list[Any]]) -> list[str]:
    def asked(**values: Any) -> int:
        return len(values)

    made = task(samples=[])(asked)
    for names, values in reversed(parameters):
        made = parametrize(names, values)(made)
    return [variant.id for variant in variants_of(made, made.declaration.parameters)]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("model", "local/qwen2.5-coder-1.5b", "qwen2.5-coder-1.5b"),
        ("judge_model", "together/meta-llama/Llama-3", "meta-llama-Llama-3"),
        ("prompt", "commit_classify.md", "commit_classify"),
        ("prompt", "folder/cot.txt", "cot"),
        ("prompt", Path("folder/cot.md"), "cot"),
        ("prompt", "Why was {message} written?", "Why-was-message-written"),
        ("text", "naïve é", "naïve-é"),
        ("temperature", 0.0, "0.0"),
        ("n", 3, "3"),
        ("flag", True, "True"),
        ("limit", None, "None"),
        ("how", len, "len"),
        ("shape", {"a": 1}, "shape2"),
        ("prompt", "???", "prompt2"),
    ],
)
def test_a_value_is_named_by_what_tells_it_apart(name: str, value: object, expected: str) -> None:
    """Strings as slugs, models without their endpoint, prompt files without suffix, numbers as written."""
    assert expected == value_id(name, value, 2)


def test_ids_are_joined_in_reading_order_and_the_topmost_parameter_varies_slowest() -> None:
    """`[qwen-cot]`: the model stands above the prompt."""
    joined = ids(("model", ["a/qwen", "a/gpt"]), ("prompt", ["bare.md", "cot.md"]))

    assert joined == ["qwen-bare", "qwen-cot", "gpt-bare", "gpt-cot"]


def test_models_of_one_name_are_told_apart_by_their_endpoint() -> None:
    """The same model from two services is what many experiments compare."""
    assert ids(("model", ["openai/gpt-4o", "azure/gpt-4o"])) == ["openai-gpt-4o", "azure-gpt-4o"]


def test_values_that_look_the_same_are_numbered() -> None:
    """From the second on."""
    assert ids(("text", ["a b", "a-b", "a-b-2"])) == ["a-b", "a-b-3", "a-b-2"]
    assert ids(("a, b", [("x-y", "z"), ("x", "y-z")])) == ["x-y-z", "x-y-z-2"]


values = st.one_of(st.text(max_size=60), st.integers(), st.floats(), st.booleans(), st.none(), st.lists(st.integers()))


@given(st.lists(values, min_size=1, max_size=6), st.lists(values, min_size=1, max_size=4))
def test_every_variant_has_an_id_of_its_own_that_a_command_line_can_hold(one: list[Any], other: list[Any]) -> None:
    """Whatever the values are."""
    made = ids(("one", one), ("other", other))

    assert len(one) * len(other) == len(set(made))
    for text in made:
        assert text
        assert not set(text) & set("[]:/ \n")
