"""Taking JSON out of what a model said."""

from __future__ import annotations

import time
from typing import Any, Literal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmbatch.call.failure import Failure, FailureKind
from llmbatch.parse.extract import Extracted, extract_json


def found(text: str, wanted: Literal["object", "any"] = "any") -> tuple[Any, str]:
    extracted = extract_json(text, wanted)
    assert isinstance(extracted, Extracted), extracted
    return extracted.value, extracted.how


@pytest.mark.parametrize(
    ("text", "value", "how"),
    [
        ('{"a": 1}', {"a": 1}, "exact"),
        (" \n[1, 2]\n", [1, 2], "exact"),
        ("null", None, "exact"),
        ('<think>maybe {"a": 2}</think>\n{"a": 1}', {"a": 1}, "exact"),
        ('maybe {"a": 2}</think>{"a": 1}', {"a": 1}, "exact"),
        ('{"a": "<think>"}', {"a": "<think>"}, "exact"),
        ('Sure:\n```json\n{"a": 1}\n```\nDone.', {"a": 1}, "fenced"),
        ('```json\n{"a": 2}\n```\nor\n```\n{"a": 1}\n```', {"a": 1}, "fenced"),
        ('```json\n{"a": 1}\n```\n```python\nprint([2])\n```', {"a": 1}, "fenced"),
        ('```json\n{"a": 1}', {"a": 1}, "fenced"),
        ('~~~\n{"a": "```"}\n~~~', {"a": "```"}, "fenced"),
        ('```json {"a": 1}```', {"a": 1}, "embedded"),
        ('The "answer is {"a": 1}, I think.', {"a": 1}, "embedded"),
        ('First {"a": 2}, then {"a": {"b": "}"}}.', {"a": {"b": "}"}}, "embedded"),
        ('Given {x | x > 0} it is {"a": 1}', {"a": 1}, "embedded"),
        ('{"a": [1, 2,],}', {"a": [1, 2]}, "repaired"),
        ("{'a': 'it is', 'b': None, 'c': True}", {"a": "it is", "b": None, "c": True}, "repaired"),
        ("So: {a: 1, 'b': [{'c': 2.5}]} is it", {"a": 1, "b": [{"c": 2.5}]}, "repaired"),
        ('{"a": "he said "hi" to me"}', {"a": 'he said "hi" to me'}, "repaired"),
        ('{"a": ["x", "y"]', {"a": ["x", "y"]}, "repaired"),
        ('{"a": 1, // a note\n "b": 2}', {"a": 1, "b": 2}, "repaired"),
        ("{\u201ca\u201d: \u201cx\u201d}", {"a": "x"}, "repaired"),
        ('[THINK]{"a": 2}[/THINK]{"a": 1}', {"a": 1}, "exact"),
        ('\u25c1think\u25b7{"a": 2}\u25c1/think\u25b7{"a": 1}', {"a": 1}, "exact"),
        ('<|channel|>analysis<|message|>{"a": 2}<|end|><|channel|>final<|message|>{"a": 1}', {"a": 1}, "exact"),
        ('{"a": 1}\n<think>or {"a": 2}', {"a": 1}, "exact"),
        ('[Reasoning]\nIt is odd.\n[Answer]\n{"a": 1}', {"a": 1}, "embedded"),
        ('```json\n{"a": "x"\n```', {"a": "x"}, "repaired"),
    ],
)
def test_json_is_found_however_a_model_wraps_it(text: str, value: object, how: str) -> None:
    """Exact before fenced before embedded before repaired, and the last of each."""
    assert (value, how) == found(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON here",
        "<think>I never stop",
        '<think>{"a": 1}</think>',
        '{"a": "perfec',
        '{"a": "x", "n": 12',
        '{"a": "x", "b": tru',
        '{"a": "x", "b":',
        '{"steps": [{"a": 1}], "a": ',
        'Draft {"a": 1}. Final: {"a": ',
        '{"a": }',
        '{"a": ...}',
        '{"a": NaN}',
        '{"a": ["x", "y"',
        '{"a": "x", ...}',
        '{"a": ["x", \u2026]}',
        '{"a": "first" + "second"}',
        '{"a": """x"""}',
        'Let me see.\n<think>\nmaybe {"a": 1}',
        '{"a": undefined}',
        '{"a": \\ud800',
    ],
)
def test_a_value_the_text_does_not_hold_is_not_invented(text: str) -> None:
    """A cut string, number or word, a missing value, and a part of a cut answer are no answer."""
    failure = extract_json(text)

    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.PARSE_ERROR


def test_a_citation_is_no_candidate_where_an_object_is_wanted() -> None:
    """`[1]` after an answer is prose."""
    text = 'It is {"a": 1}, as shown in [1].'

    assert found(text, "object") == ({"a": 1}, "embedded")
    assert found(text, "any") == ([1], "embedded")


def test_json_that_is_encoded_twice_is_read_where_an_object_is_wanted() -> None:
    """A string is no object, and one that holds an object and nothing else is that object."""
    text = orjson.dumps('{"a": 1}').decode()

    assert found(text, "object") == ({"a": 1}, "embedded")
    assert found(text, "any") == ('{"a": 1}', "exact")


def test_what_a_failure_shows_of_the_text_is_short() -> None:
    """The raw text is kept elsewhere."""
    failure = extract_json("x" * 10_000)

    assert isinstance(failure, Failure)
    assert len(failure.message) < 140


def test_nesting_is_limited() -> None:
    """A hundred levels are more than any answer; more are refused before anything recurses."""
    assert found("[" * 100 + "]" * 100)[1] == "exact"
    assert isinstance(extract_json("[" * 101 + "]" * 101), Failure)


HOSTILE = [
    "[THINK]", "\u25c1think\u25b7", "<|channel|>analysis<|message|>", "\n ", "\n\t<think",
    "{", "[", "`", "```\n", "```json\n", '{"', '{"a":', '["', "{'a': ", "[[1],", "{}", "{'}", "<think>", "</think>",
    '{"a": 1,}', '"', '{"a":"\\', "{ ", "[1", '{"a": "b" "c" ', "\\", "{a", "{a:", "{a: [", "\n", "{[", "}{", '{"a" ',
]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("close", ["", "}", "]"])
def test_hostile_text_takes_bounded_time(piece: str, close: str) -> None:
    """100 KB that would make a backtracking or quadratic reader hang (the bound is loose: CI machines differ)."""
    text = '{"k": ' * bool(close) + piece * (100_000 // len(piece)) + close
    started = time.thread_time()

    extract_json(text)

    assert time.thread_time() - started < 1.0


@pytest.mark.parametrize("piece", HOSTILE)
def test_repair_of_hostile_text_takes_bounded_time(piece: str) -> None:
    """Just below the size where repair is given up, inside brackets that do balance."""
    text = "[" + piece * (11_000 // len(piece)) + "]"
    started = time.thread_time()

    extract_json(text)

    assert time.thread_time() - started < 1.0


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(words.filter(bool), values, min_size=1, max_size=4)
prose = st.text("abc .,:\n!?", max_size=30)


@given(values)
def test_what_is_json_is_read_as_it_is(value: object) -> None:
    """Any JSON value is its own answer."""
    assert (value, "exact") == found(orjson.dumps(value).decode())


@given(objects, objects, prose, prose)
def test_the_last_object_in_prose_is_the_answer(
    draft: dict[str, Any], final: dict[str, Any], before: str, after: str
) -> None:
    """Whatever is said before, between and after."""
    text = f"x{before} {orjson.dumps(draft).decode()} {before} {orjson.dumps(final).decode()} {after}"

    assert (final, "embedded") == found(text)


@given(objects, st.data())
def test_no_prefix_of_an_answer_gives_a_value_that_is_not_in_it(answer: dict[str, Any], data: st.DataObject) -> None:
    """A cut answer is a failure, or holds nothing but members of the whole one."""
    text = orjson.dumps(answer).decode()
    cut = text[: data.draw(st.integers(1, len(text) - 1))]

    extracted = extract_json(cut)

    assert isinstance(extracted, Failure) or _is_part(extracted.value, answer)


def _is_part(part: object, whole: object) -> bool:
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and _is_part(value, whole[key]) for key, value in part.items())
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) <= len(whole) and all(map(_is_part, part, whole))
    return part == whole


@given(st.text() | st.text("{}[]\"'`:,\\ \n1a", max_size=60))
def test_no_text_makes_extraction_raise(text: str) -> None:
    """Lone surrogates, control characters, broken brackets."""
    assert isinstance(extract_json(text), Extracted | Failure)
