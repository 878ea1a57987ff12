"""Labels that are said in other words than they are declared in."""

from __future__ import annotations

import enum
import time
from typing import Annotated, Any, Literal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from llmbatch.call.failure import Failure, FailureKind
from llmbatch.errors import TaskError
from llmbatch.parse.completion import Completion
from llmbatch.parse.shape import shape_of
from llmbatch.parse.structured import Parsed, parse_answer


def rules(**declared: Any) -> Any:
    return Field(json_schema_extra=declared)


class Colour(enum.Enum):
    RED = "dark red"
    BLUE = "blue"

    @classmethod
    def _missing_(cls, value: object) -> Colour | None:
        return cls.BLUE if value == "azure" else None


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


Kind = Annotated[Literal["bug fix", "feature"], rules(label_aliases={"defect": "bug fix", "enhancement": "feature"})]
Exact = Annotated[Literal["Yes", "no"], rules(label_match=[])]
Cased = Annotated[Literal["a b", "c"], rules(label_match=["case"])]


class Cat(BaseModel):
    kind: Literal["cat"]
    colour: Colour


class Dog(BaseModel):
    kind: Literal["dog"]
    sound: Literal["low", "high"]


class Report(BaseModel):
    kind: Kind
    colours: Annotated[list[Colour], rules(label_aliases={"crimson": "dark red"})] = []
    level: Annotated[Level | None, rules(label_aliases={"low": 1, "high": 2})] = None
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    share: Literal["half"] | float = 0.0


class Strict(BaseModel):
    model_config = ConfigDict(json_schema_extra={"label_match": []})

    exact: Literal["a", "b"]
    loose: Annotated[Literal["c", "d"], rules(label_match=["case"])]


class Tree(BaseModel):
    kind: Kind
    below: Annotated[list[Tree], rules(label_aliases={"chore": "feature"})] = []


def completion(text: str) -> Completion:
    empty: dict[str, Any] = dict.fromkeys(Completion._fields)
    return Completion(**{**empty, "text": text, "held": {}})


def read(tp: Any, text: str) -> Parsed[Any] | Failure:
    return parse_answer(shape_of(tp), completion(text), "json_schema")


@pytest.mark.parametrize(
    ("tp", "text", "value", "normalised"),
    [
        (Kind, '"bug fix"', "bug fix", ""),
        (Kind, '{"value": "BugFix"}', "bug fix", "the answer: 'BugFix' as bug fix"),
        (Kind, '"defect"', "bug fix", "the answer: 'defect' as bug fix"),
        (Kind, "<think>a new thing</think>\n**Enhancement**", "feature", "the answer: 'Enhancement' as feature"),
        (Exact, "Yes.", "Yes", ""),
        (Cased, '"A B"', "a b", "the answer: 'A B' as a b"),
        (Colour, '"Crimson"', None, ""),
        (Colour, '"azure"', Colour.BLUE, ""),
        (Annotated[Colour, rules(label_aliases={"crimson": "dark red"})], '"Crimson"', Colour.RED,
         "the answer: 'Crimson' as dark red"),
        (Annotated[Level, rules(label_aliases={"low": 1})], "low", Level.LOW, "the answer: 'low' as 1"),
        (Annotated[Literal["good", "bad"], rules(label_aliases={"5": "good"})], "5", "good", "the answer: 5 as good"),
    ],
)  # fmt: skip
def test_a_label_is_read_by_the_rules_of_its_place(tp: Any, text: str, value: object, normalised: str) -> None:
    """Case, spaces and aliases; an Enum's own `_missing_` is asked as everywhere in pydantic."""
    answer = read(tp, text)

    if value is None:
        assert isinstance(answer, Failure)
        assert answer.kind is FailureKind.OUT_OF_LABEL
    else:
        assert isinstance(answer, Parsed), answer
        assert (value, normalised) == (answer.value, answer.normalised)


@pytest.mark.parametrize(("tp", "text"), [(Exact, '"yes"'), (Exact, "yes"), (Cased, '"ab"'), (Literal[1, 2], '"1"')])
def test_nothing_else_is_a_label(tp: Any, text: str) -> None:
    """What is not declared is not guessed, and a number in quotes is no number."""
    assert not isinstance(read(tp, text), Parsed)


def test_rules_hold_inside_lists_optional_values_and_the_member_of_a_union_that_the_tag_names() -> None:
    """Wherever a label can stand; what was changed is told with its place."""
    text = (
        '{"kind": "Feature", "colours": ["Crimson", "BLUE", "dark red"], "level": "High",'
        ' "pet": {"kind": "Dog", "sound": "LOW"}, "share": "Half"}'
    )

    answer = read(Report, text)

    pet = Dog(kind="dog", sound="low")
    report = Report(
        kind="feature", colours=[Colour.RED, Colour.BLUE, Colour.RED], level=Level.HIGH, pet=pet, share="half"
    )
    assert isinstance(answer, Parsed), answer
    assert report == answer.value
    assert (
        "kind: 'Feature' as feature; colours[0]: 'Crimson' as dark red; colours[1]: 'BLUE' as blue; "
        "level: 'High' as 2; pet.kind: 'Dog' as dog; pet.sound: 'LOW' as low; share: 'Half' as half"
    ) == answer.normalised


def test_a_rule_of_a_class_holds_for_its_fields_unless_they_say_otherwise() -> None:
    """The nearest declaration counts."""
    assert isinstance(read(Strict, '{"exact": "a", "loose": "D"}'), Parsed)
    assert isinstance(read(Strict, '{"exact": "A", "loose": "d"}'), Failure)


def test_rules_reach_into_a_class_that_holds_itself() -> None:
    """The alias that a field adds holds below it, to any depth."""
    answer = read(Tree, '{"kind": "defect", "below": [{"kind": "chore", "below": [{"kind": "Chore"}]}]}')

    assert isinstance(answer, Parsed), answer
    assert "feature" == answer.value.below[0].below[0].kind
    assert isinstance(read(Tree, '{"kind": "chore"}'), Failure)


def test_rules_are_never_sent() -> None:
    """A new alias asks nothing again."""
    sent = shape_of(Report).request_members("json_schema")

    assert "label_" not in f"{sent} {shape_of(Report).instruction} {shape_of(Kind).json_schema}"
    assert shape_of(Kind).json_schema == shape_of(Literal["bug fix", "feature"]).json_schema


class Misled(BaseModel):
    kinds: list[Annotated[Literal["a", "b"], rules(label_aliases={"x": "c"})]]


@pytest.mark.parametrize(
    ("tp", "reason", "fix"),
    [
        (Misled, "Misled.kinds[] cannot be asked for: its alias 'x' stands for 'c', which is no label", "a, b"),
        (
            Annotated[Literal["a b", "c"], rules(label_aliases={"AB": "c"})],
            "can be read as 'a b' as well",
            "label_match",
        ),
        (Annotated[Literal["a", "c"], rules(label_aliases={"x": "a", "X": "c"})], "can be read as", "another word"),
        (Annotated[Literal["a", "c"], rules(label_match="case")], "its label_match is 'case'", '"case", "spaces"'),
        (
            Annotated[Literal["a", "c"], rules(label_match=["cases"])],
            "its label_match is ['cases']",
            '"case", "spaces"',
        ),
        (Annotated[Literal["a", "c"], rules(label_aliases=["a"])], "its label_aliases are no mapping", "other word"),
    ],
)
def test_a_rule_that_cannot_hold_is_the_authors_error(tp: Any, reason: str, fix: str) -> None:
    """Found with the shape, before anything is asked."""
    with pytest.raises(TaskError) as caught:
        shape_of(tp)

    assert reason in caught.value.what
    assert fix in caught.value.details["fix"]


def test_a_field_may_be_named_like_a_rule() -> None:
    """Only the keyword of a schema is one."""

    class Odd(BaseModel):
        label_match: str
        label_aliases: list[str]

    assert ("label_match", "label_aliases") == shape_of(Odd).fields


LABELS = ("bug fix", "new Feature", "a", "B c d")
AnyOfFour = Annotated[Literal["bug fix", "new Feature", "a", "B c d"], rules(label_aliases={"defect": "bug fix"})]


@given(st.sampled_from([*LABELS, "defect"]), st.data())
def test_a_label_in_other_letters_and_spaces_is_that_label(said: str, data: st.DataObject) -> None:
    """In JSON and bare; whatever the case of each letter, and wherever spaces stand."""
    spaces = st.sampled_from(["", " ", "  ", "\t"])
    letters = [data.draw(st.sampled_from([each.upper(), each.lower()])) for each in said if each != " "]
    varied = data.draw(spaces) + "".join(letter + data.draw(spaces) for letter in letters)

    for text in (varied, orjson.dumps({"value": varied}).decode()):
        answer = read(AnyOfFour, text)
        assert isinstance(answer, Parsed), (text, answer)
        assert ("bug fix" if said == "defect" else said) == answer.value


@given(st.text(max_size=12))
def test_no_other_word_is_taken_for_a_label(word: str) -> None:
    """What is read as a label has its letters, in their order."""
    answer = read(AnyOfFour, orjson.dumps({"value": word}).decode()) if word.isprintable() else None

    if isinstance(answer, Parsed):
        plain = "".join(word.split()).casefold()
        assert plain in {"".join(each.split()).casefold() for each in (answer.value, "defect")}


def test_many_wrong_words_among_many_labels_take_bounded_time() -> None:
    """As many as a hostile answer can hold, in the largest set of labels (the bound is loose: CI machines differ)."""
    labels: Any = Literal[tuple(f"label {each}" for each in range(999))]
    text = orjson.dumps({"value": [f"LABEL {each}" for each in range(900)] * 5}).decode()
    shape = shape_of(list[labels])
    started = time.thread_time()

    answer = parse_answer(shape, completion(text), "json_schema")

    assert time.thread_time() - started < 2.0
    assert isinstance(answer, Parsed)
    assert answer.normalised.startswith("[0]: 'LABEL 0' as label 0; ")
    assert answer.normalised.endswith("; and 4480 more")
