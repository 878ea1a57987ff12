"""From a completion to a typed value, or to the reason why there is none."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from typing import Annotated, Any, Literal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, computed_field, field_validator
from typing_extensions import TypedDict

from llmbatch.call.failure import Failure, FailureKind
from llmbatch.errors import AnswerError
from llmbatch.parse.completion import Completion
from llmbatch.parse.shape import shape_of
from llmbatch.parse.structured import Parsed, columns_of, parse_answer, reask_message


class Verdict(BaseModel):
    reasoning_steps: list[str]
    category: Literal["corrective", "adaptive", "perfective"]


class Colour(enum.Enum):
    RED = "dark red"
    BLUE = "blue"


class Item(BaseModel):
    colour: Colour
    count: Annotated[int, Field(ge=1, le=9)] = 1


class Basket(BaseModel):
    items: list[Item]
    best: Item | None = None
    when: dt.date | None = None


class Strange(BaseModel):
    word: str

    @field_validator("word")
    @classmethod
    def check(cls, word: str) -> str:
        if word == "lookup":
            return {"a": "b"}[word]
        if word == "long":
            raise ValueError("use a shorter word")
        return word

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated property
    @property
    def size(self) -> float:
        return 1 / (len(self.word) - 1)


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.0


class Movie(TypedDict):
    title: str


def said(text: str | None, finish_reason: str = "stop", **members: Any) -> Completion:
    empty: dict[str, Any] = dict.fromkeys(Completion._fields)
    return Completion(**{**empty, "text": text, "finish_reason": finish_reason, "held": {}, **members})


def parsed(tp: Any, text: str, finish_reason: str = "stop") -> tuple[Any, str]:
    answer = parse_answer(shape_of(tp), said(text, finish_reason), "json_schema")
    assert isinstance(answer, Parsed), answer
    return answer.value, answer.how


def failed(tp: Any, completion: Completion) -> Failure:
    failure = parse_answer(shape_of(tp), completion, "json_schema")
    assert isinstance(failure, Failure), failure
    return failure


GOOD = '{"reasoning_steps": ["a"], "category": "adaptive"}'


@pytest.mark.parametrize(
    ("completion", "kind"),
    [
        (said(GOOD, refusal="I cannot"), FailureKind.REFUSAL),
        (said('{"reasoning_steps": ["a"', "length"), FailureKind.TRUNCATED),
        (said('{"reasoning_steps": [], "category": "adaptive"', "length"), FailureKind.TRUNCATED),
        (said(None, "length"), FailureKind.TRUNCATED),
        (said(GOOD, "content_filter"), FailureKind.CONTENT_FILTER),
        (said(None, "tool_calls", tool_calls=[{"id": "c"}]), FailureKind.TOOL_CALLS),
        (said(None), FailureKind.EMPTY_CONTENT),
        (said(" \n"), FailureKind.EMPTY_CONTENT),
        (said(None, reasoning="hm"), FailureKind.EMPTY_CONTENT),
        (said("I would say adaptive"), FailureKind.PARSE_ERROR),
        (said('{"reasoning_steps": []}'), FailureKind.INVALID_ANSWER),
        (said("[]"), FailureKind.INVALID_ANSWER),
    ],
)
def test_every_bad_answer_has_its_category(completion: Completion, kind: FailureKind) -> None:
    """The order of the checks is the order of the table: what the service says comes before what can be read."""
    assert kind is failed(Verdict, completion).kind


@pytest.mark.parametrize(
    ("text", "how"),
    [
        (GOOD, "exact"),
        (f"\n<think>{{}}</think>{GOOD}", "exact"),
        (f"Here:\n```json\n{GOOD}\n```", "fenced"),
        (f"It is {GOOD} [1].", "embedded"),
        ('{"reasoning_steps": ["a",], "category": "adaptive",}', "repaired"),
        ('{"reasoning_steps": ["a"], "category": " Adaptive"}', "exact"),
    ],
)
def test_a_good_answer_is_read_however_it_is_wrapped(text: str, how: str) -> None:
    """Services that accept a schema do not all keep to it."""
    assert (Verdict(reasoning_steps=["a"], category="adaptive"), how) == parsed(Verdict, text)


def test_an_answer_that_is_whole_is_good_although_the_text_was_cut() -> None:
    """Models ramble after the answer until max_tokens."""
    assert parsed(Verdict, GOOD, "length")[1] == "exact"
    assert parsed(Verdict, f"{GOOD}\nLet me explain th", "length")[1] == "embedded"
    assert parsed(Literal["yes", "no"], "Yes", "length") == ("yes", "word")


def test_braces_are_closed_only_behind_the_last_member() -> None:
    """A member with a default would be filled in, although it may stand in the part that was cut off."""
    assert parsed(Item, '{"colour": "blue", "count": 2}') == (Item(colour=Colour.BLUE, count=2), "exact")
    assert parsed(Item, '{"colour": "blue"}') == (Item(colour=Colour.BLUE), "exact")
    assert parsed(Movie, '{"title": "Alien"') == ({"title": "Alien"}, "repaired")
    for cut in ('{"colour": "blue"', '{"best": {"colour": "blue"', '{"items": [], "best": {"colour": "blue"}'):
        shape = Item if cut.startswith('{"colour') else Basket
        assert failed(shape, said(cut)).kind is FailureKind.PARSE_ERROR


@pytest.mark.parametrize(
    ("tp", "text"), [(str, "some tex"), (int, "12"), (Literal["correct", "corrective"], "correct"), (bool, "true")]
)
def test_what_may_go_on_in_the_missing_part_is_truncated(tp: Any, text: str) -> None:
    """A text, a number, or a label that another label starts with."""
    assert failed(tp, said(text, "length")).kind is FailureKind.TRUNCATED


@pytest.mark.parametrize(
    ("tp", "text", "value"),
    [
        (Literal["yes", "no"], "Yes.", "yes"),
        (Literal["yes", "no"], "**No**", "no"),
        (Literal["yes", "no"], '"no"', "no"),
        (Literal["yes", "no"], '{"value": "NO"}', "no"),
        (Literal["yes", "no"], "<think>no</think>\nIt fits.\n`yes`", "yes"),
        (Literal["bug fix", "feature"], "BugFix!", "bug fix"),
        (Literal[1, 2, 3], "2.", 2),
        (Colour, "Dark  Red", Colour.RED),
        (Colour | None, "null", None),
        (bool, "True.", True),
        (int, "12", 12),
        (int, '{"value": 12}', 12),
        (float, "1.5", 1.5),
        (list[int], "[1, 2]", [1, 2]),
        (list[int], 'So: {"value": [1, 2]}', [1, 2]),
        (int | None, '{"value": null}', None),
        (Point, '{"x": 1}', Point(1.0, 0.0)),
        (Movie, '{"title": "Alien"}', {"title": "Alien"}),
    ],
)
def test_values_without_fields_are_taken_wrapped_bare_or_as_a_word(tp: Any, text: str, value: object) -> None:
    """A closed set of labels may be answered by a bare word; a scalar or list without its wrapper."""
    assert value == parsed(tp, text)[0]


@pytest.mark.parametrize("text", ["yes or no", "Well,\nmaybe", "...", '{"value": perhaps'])
def test_a_text_that_is_not_one_label_is_no_answer(text: str) -> None:
    """No label is guessed from a sentence."""
    assert failed(Literal["yes", "no"], said(text)).kind is FailureKind.PARSE_ERROR


@pytest.mark.parametrize(
    ("tp", "text", "word", "message"),
    [
        (Literal["yes", "no"], "<think>hm</think> **Maybe**.", "Maybe", "the answer: 'Maybe' is not one of yes, no"),
        (Literal["yes", "no"], '{"value": "perhaps"}', "perhaps", "the answer: 'perhaps' is not one of yes, no"),
        (Literal[1, 2], "7", "7", "the answer: 7 is not one of 1, 2"),
        (Colour | None, '"green"', "green", "the answer: 'green' is not one of dark red, blue, null"),
        (bool, "maybe", "maybe", "the answer: 'maybe' is not one of true, false"),
        (Verdict, '{"reasoning_steps": [], "category": "bugfix"}', "bugfix",
         "category: 'bugfix' is not one of corrective, adaptive, perfective"),
        (Literal["A b", "ab"], '"AB"', "AB", "the answer: 'AB' is not one of A b, ab"),
    ],
)  # fmt: skip
def test_a_word_outside_the_labels_is_a_category_of_its_own(tp: Any, text: str, word: str, message: str) -> None:
    """The model understood what was asked for, and said another word: the word is told, and comes back in a re-ask."""
    assert Failure(FailureKind.OUT_OF_LABEL, message, word) == failed(tp, said(text))


@pytest.mark.parametrize(
    "text",
    [
        '{"reasoning_steps": [], "category": null}',
        '{"reasoning_steps": [], "category": ["adaptive"]}',
        '{"reasoning_steps": "none", "category": "bugfix"}',
    ],
)
def test_what_is_no_word_or_has_other_faults_is_an_invalid_answer(text: str) -> None:
    """Only an answer that is right but for its labels is outside of them."""
    assert failed(Verdict, said(text)).kind is FailureKind.INVALID_ANSWER


def test_near_spellings_are_put_right_inside_lists_and_optional_models() -> None:
    """And nothing else is changed: a text that is not a label stays."""
    text = '{"items": [{"colour": "DARK RED", "count": 2}], "best": {"colour": "Blue"}, "when": "2020-01-02"}'

    basket = Basket(items=[Item(colour=Colour.RED, count=2)], best=Item(colour=Colour.BLUE), when=dt.date(2020, 1, 2))
    assert basket == parsed(Basket, text)[0]


def test_plain_text_is_the_text() -> None:
    """Nothing is stripped."""
    assert parsed(str, " {a} \n") == (" {a} \n", "text")


@pytest.mark.parametrize(
    ("tp", "text", "message"),
    [
        (Verdict, '{"reasoning_steps": [1], "category": null}',
         "reasoning_steps[0]: 1 is not a string; category: null is not one of corrective, adaptive, perfective"),
        (Verdict, '{"category": "adaptive"}', "reasoning_steps: missing"),
        (Verdict, "[]", "the answer: [] is not an object"),
        (Basket, '{"items": [{"colour": "pink", "count": 12}]}',
         "items[0].colour: 'pink' is not one of dark red, blue; items[0].count: 12 is greater than 9"),
        (Basket, '{"items": {}}', "items: {} is not a list"),
        (int, '"many"', "the answer: 'many' is not an integer"),
        (list[int], "[1, 2.5]", "[1]: 2.5 is not an integer"),
        (Strange, '{"word": "long"}', "word: 'long': use a shorter word"),
        (Strange, '{"word": "lookup"}', "a validator of Strange raised KeyError: 'lookup'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_our_words(tp: Any, text: str, message: str) -> None:
    """Location, kind and value; a re-ask sends these words, so they are golden."""
    failure = failed(tp, said(text))

    assert (FailureKind.INVALID_ANSWER, message) == (failure.kind, failure.message)


def test_a_long_value_is_cut_and_many_errors_are_counted() -> None:
    """A message of bounded length, without a link of the library's."""
    text = orjson.dumps({"reasoning_steps": [["x" * 500]] * 20, "category": "y" * 500}).decode()

    message = failed(Verdict, said(text)).message

    assert len(message) < 700
    assert message.endswith("; and 16 more")
    assert "http" not in message


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_a_constant_that_json_does_not_have_is_no_number(word: str) -> None:
    """pydantic would take it, also where it reads it and uses it for nothing."""
    assert failed(Point, said(f'{{"x": {word}}}')).kind is FailureKind.PARSE_ERROR
    assert failed(Strange, said(f'{{"word": "abc", "other": {word}}}')).kind is FailureKind.PARSE_ERROR


def test_a_number_beyond_every_float_is_no_infinity() -> None:
    """pydantic would take it for one."""
    assert failed(Point, said('{"x": 1e999}')).kind is FailureKind.INVALID_ANSWER


def test_a_strict_model_takes_the_json_form_of_a_date() -> None:
    """Text is validated as JSON in every way of finding it."""

    class Day(BaseModel):
        model_config = ConfigDict(strict=True)

        day: dt.date

    day = Day(day=dt.date(2020, 1, 2))
    assert [day, day] == [parsed(Day, f'{before}{{"day": "2020-01-02"}}')[0] for before in ("", "So: ")]


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (
            Failure(FailureKind.INVALID_ANSWER, "a: missing; b: 1 is not a string"),
            (
                "Your answer does not fit:\n- a: missing\n- b: 1 is not a string\n"
                "Answer again, whole and in the form that was asked for, and with nothing else."
            ),
        ),
        (
            Failure(FailureKind.PARSE_ERROR, "the answer holds no JSON: 'x'"),
            (
                "Your answer could not be read: the answer holds no JSON: 'x'\n"
                "Answer again, whole and in the form that was asked for, and with nothing else."
            ),
        ),
    ],
)
def test_the_text_of_a_reask_is_these_bytes(failure: Failure, message: str) -> None:
    """It is part of a recorded request: a change would ask, and pay, again."""
    assert message == reask_message(failure)


def test_a_word_outside_the_labels_is_named_when_it_is_asked_again() -> None:
    """With the labels where it stood in JSON; a bare word in the words that recorded re-asks have."""
    again = "Answer again, whole and in the form that was asked for, and with nothing else."
    for text, fault in [
        ('{"value": "perhaps"}', "Your answer does not fit:\n- the answer: 'perhaps' is not one of yes, no"),
        ("Perhaps.", "Your answer could not be read: the answer holds no JSON: 'Perhaps.'"),
    ]:
        assert f"{fault}\n{again}" == reask_message(failed(Literal["yes", "no"], said(text)), text)


def test_columns_are_json_values_under_the_names_of_the_fields() -> None:
    """Enums as their values, nested models as mappings, dates as text, computed fields beside them."""
    basket = Basket(items=[Item(colour=Colour.RED)], when=dt.date(2020, 1, 2))

    item = {"colour": "dark red", "count": 1}
    assert columns_of(basket, shape_of(Basket)) == {"items": [item], "best": None, "when": "2020-01-02"}
    assert columns_of(Strange(word="abc"), shape_of(Strange)) == {"word": "abc", "size": 0.5}
    assert columns_of(Point(1.0), shape_of(Point)) == {"x": 1.0, "y": 0.0}
    assert columns_of(Movie(title="Alien"), shape_of(Movie)) == {"title": "Alien"}
    assert columns_of(Colour.BLUE, shape_of(Colour)) == {"answer": "blue"}
    assert columns_of([1, 2], shape_of(list[int])) == {"answer": [1, 2]}
    assert columns_of("text", shape_of(str)) == {"answer": "text"}


def test_a_computed_field_that_raises_is_a_failure_of_the_row() -> None:
    """The run goes on; the answer is recorded."""
    with pytest.raises(AnswerError) as caught:
        columns_of(Strange(word="a"), shape_of(Strange))

    assert caught.value.kind is FailureKind.TASK_ERROR


SHAPES = [Verdict, Basket, Strange, Point, Movie, Colour, bool, int, str, list[int], Literal["yes", "no"], int | None]
texts = st.text() | st.text("{}[]\"':,ab1\n` ", max_size=40) | st.sampled_from(["yes", GOOD, '{"value":'])


@given(st.sampled_from(SHAPES), texts, st.sampled_from(["stop", "length", "tool_calls", "odd"]))
def test_no_answer_makes_parsing_raise(tp: Any, text: str, finish_reason: str) -> None:
    """Whatever a model says becomes a value or a failure."""
    answer = parse_answer(shape_of(tp), said(text, finish_reason), "text")

    assert isinstance(answer, Parsed | Failure)


verdicts = st.builds(
    Verdict,
    reasoning_steps=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=3),
    category=st.sampled_from(["corrective", "adaptive", "perfective"]),
)


@given(verdicts)
def test_the_fast_and_the_tolerant_way_give_the_same_value(verdict: Verdict) -> None:
    """How the answer was wrapped changes nothing in it."""
    text = verdict.model_dump_json()

    assert (verdict, "exact") == parsed(Verdict, text)
    assert verdict == parsed(Verdict, f"So: {text}")[0] == parsed(Verdict, f"```\n{text}\n```")[0]


def even(number: int) -> int:
    if number % 2:
        raise ValueError("odd,\nand even is wanted")
    return number


def test_constraints_of_the_type_are_enforced_though_they_are_not_sent() -> None:
    """Ranges and validators are dropped from the schema only."""
    assert parsed(Annotated[int, AfterValidator(even)], "2") == (2, "exact")
    assert failed(Annotated[int, AfterValidator(even)], said("3")).message == "the answer: 3: odd, and even is wanted"


@pytest.mark.parametrize("tp", [int, float, list[int], Literal[1, 2], Literal["a", "b"]])
@pytest.mark.parametrize("number", ["2" + "0" * 19, "-" + "9" * 60, "1e999", "NaN"])
def test_a_number_of_any_size_is_read_or_refused(tp: Any, number: str) -> None:
    """Also where the text has to be repaired: what JSON libraries bound, a model does not."""
    for text in (number, f'{{"value": {number}}}', f'{{"value": {number},}}', f"so: {{'value': {number},}}"):
        read = parse_answer(shape_of(tp), said(text), "text")

        assert isinstance(read, Failure) or float(read.value) == float(number)
