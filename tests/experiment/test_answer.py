"""An answer says what came back, and raises only when its value is asked for."""

import copy
import pickle

import pytest

from llmbatch.call.failure import Failure, FailureKind
from llmbatch.errors import AnswerError, TaskError
from llmbatch.experiment.answer import Answer
from llmbatch.experiment.ask import Model


def test_a_good_answer_gives_its_value_and_columns() -> None:
    """`row` adds the author's columns to the answer's, in that order."""
    answer = Answer(value=3, columns={"answer": 3}, text="3")

    assert answer.ok
    assert answer.value == 3
    assert list(answer.row(length=1).items()) == [("answer", 3), ("length", 1)]


def test_a_failed_answer_raises_its_failure_when_its_value_is_asked_for() -> None:
    """Making it does not raise; `.value` carries the kind and the text."""
    failure = Failure(FailureKind.TRUNCATED, "the answer was cut off", "length")
    answer = Answer[int](failure=failure, columns={"answer": None}, text="thirt")

    with pytest.raises(AnswerError) as caught:
        _ = answer.value

    assert (caught.value.kind, caught.value.text) == ("truncated", "thirt")
    assert answer.failure is FailureKind.TRUNCATED
    assert (answer.failure_message, answer.failure_detail) == ("the answer was cut off", "length")
    assert answer.row() == {"answer": None}


def test_a_failed_answer_has_no_value_even_if_one_was_given() -> None:
    """A half-read value must not pass for an answer."""
    answer = Answer(value=3, failure=Failure(FailureKind.REFUSAL, "no"))

    with pytest.raises(AnswerError):
        _ = answer.value


def test_an_added_column_may_not_hide_one_of_the_answer() -> None:
    """A clash would replace what the model said."""
    answer = Answer(value="a", columns={"category": "a"})

    with pytest.raises(TaskError, match="category") as caught:
        answer.row(category="b")

    assert caught.value.details["columns"] == "category"


def test_the_repr_of_an_answer_is_short_and_shows_no_control_character() -> None:
    """It is printed to terminals, and the text comes from a model."""
    shown = repr(Answer(value="x", text="\x1b[2J" + "a" * 500))

    assert len(shown) < 100
    assert "\x1b" not in shown


def test_an_answer_takes_no_new_attributes() -> None:
    """A misspelt attribute is an error, not a silent note."""
    with pytest.raises(AttributeError):
        Answer(value=1).txt = "x"  # type: ignore[attr-defined]


def test_a_model_is_its_text_and_hides_its_key() -> None:
    """Other SDKs get name, URL and key; prints, copies and pickles get the text."""
    model = Model("local/qwen", name="qwen2.5", base_url="http://127.0.0.1:1/v1", api_key="sk-secret")

    assert model == "local/qwen"
    assert (model.name, model.base_url, model.api_key) == ("qwen2.5", "http://127.0.0.1:1/v1", "sk-secret")
    assert repr(model) == "Model('local/qwen')"
    assert b"sk-secret" not in pickle.dumps(model)
    assert copy.copy(model) == "local/qwen"
