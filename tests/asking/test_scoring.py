"""An ask with `probability_of`: what it sends, what its row and its answer say, and what stops it."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from llmbatch.asking.asker import Asker, Asking
from llmbatch.asking.bound import BoundAsk
from llmbatch.call.values import Reply
from llmbatch.cassette.case import CaseContext
from llmbatch.cassette.store import Store
from llmbatch.columns import PROBABILITY_COLUMNS
from llmbatch.config import Endpoint, ModelSettings, ResolvedModel
from llmbatch.config.capabilities import Capabilities
from llmbatch.errors import AnswerError, AuthorError, TaskError
from llmbatch.experiment.answer import Answer
from llmbatch.prompt import Prompts

Listing = tuple[str, float, dict[str, float]]


class Finding(BaseModel):
    label: Literal["bug", "style"]
    severe: bool
    grade: int = Field(ge=1, le=3)


class Report(BaseModel):
    thoughts: list[str]
    findings: list[Finding]
    verdict: Literal["keep", "drop"] | None


class Clashing(BaseModel):
    label: Literal["a", "b"]
    prob_note: str


MODEL = ResolvedModel("local/m", Endpoint("local", "http://127.0.0.1:9/v1", structured="text"), "m", ModelSettings("m"))
REFUSING = replace(MODEL, capabilities=Capabilities(logprobs="refused"))
COLUMNS = [column.name for column in PROBABILITY_COLUMNS]
SAID = '{"thoughts": ["a label"], "findings": [{"label": "bug", "severe": true, "grade": 2}], "verdict": null}'
SAMPLED: dict[str, Any] = {"temperature": 1.0, "extra_body": {"top_k": 0, "min_p": 0}}


def listing(text: str, probability: float = 1.0, **others: float) -> Listing:
    return text, probability, others


def body(listings: list[Listing] | None, text: str, finish_reason: str = "stop") -> bytes:
    choice: dict[str, Any] = {"message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    if listings is not None:
        choice["logprobs"] = {"content": [_entry(*each) for each in listings]}
    return json.dumps({"model": "m", "choices": [choice]}).encode()


def _entry(text: str, probability: float, others: dict[str, float]) -> dict[str, Any]:
    def one(token: str, chance: float) -> dict[str, Any]:
        logprob = math.log(chance) if chance else -9999.0
        return {"token": token, "bytes": list(token.encode()), "logprob": logprob}

    return one(text, probability) | {"top_logprobs": [one(text, probability), *(one(*each) for each in others.items())]}


def reply(content: bytes, status: int = 200) -> Reply:
    return Reply(status, "OK", {"content-type": ("application/json",)}, content, "2026-01-01T00:00:00Z", 5)


def answered(
    shape: Any, recorded: Reply | None, path: str, model: ResolvedModel = MODEL, **options: Any
) -> Answer[Any]:
    """Return the answer that a replay gives of a recorded reply; None records nothing."""
    with TemporaryDirectory() as folder, Store(Path(folder), record_mode="new_episodes") as store:
        asker = Asker(store, Prompts([]), lambda name: model)
        options = options | {"probability_of": path}
        question = asker.prepare((shape, "Judge it"), options, Asking(CaseContext("case", 0), model))
        if recorded is not None:
            store.record(question.call(), recorded)
        ask = BoundAsk(asker, Asking(CaseContext("case", 0), model))
        return asyncio.run(ask(shape, "Judge it", **options))


REPORT = [
    listing('{"thoughts": ["a'),
    listing(' label"], "findings": [{"label":', 0.99, odd=0.01),
    listing(' "', 0.9, x=0.05),
    listing("b", 0.5, style=0.3, B=0.1, Sty=0.06, other=0.02),
    listing('ug", "severe":', 0.9, lue=0.05),
    listing(" true", 0.75, **{" false": 0.2, " T": 0.01}),
    listing(', "grade":', 0.9, x=0.05),
    listing(" ", 0.9, x=0.05),
    listing("2", 0.6, **{"3": 0.2, "1": 0.1, "4": 0.05}),
    listing('}], "verdict":', 0.9, x=0.05),
    listing(" null", 0.5, **{' "keep': 0.3, ' "dr': 0.1, ' "': 0.05}),
    listing("}", 0.9, x=0.05),
]


@pytest.mark.parametrize(
    ("path", "expected", "missing"),
    [
        ("findings[0].label", {"bug": 0.55, "style": 0.36}, 0.09),
        ("findings[0].severe", {"true": 0.675, "false": 0.2}, 0.125),
        ("findings[0].grade", {"1": 0.1, "2": 0.54, "3": 0.2}, 0.16),
        ("verdict", {"keep": 0.3, "drop": 0.1, "null": 0.45}, 0.15),
    ],
)
def test_a_closed_field_at_any_depth_has_a_probability_for_each_label(
    path: str, expected: dict[str, float], missing: float
) -> None:
    """Literal, bool, bounded int and None, in a list and in an object, behind a thought that speaks of labels."""
    answer = answered(Report, reply(body(REPORT, SAID)), path, **SAMPLED)

    assert expected == pytest.approx(answer.prob())
    assert missing == pytest.approx(answer.columns["prob_missing"])
    assert ("logprobs", True, None) == tuple(answer.columns[name] for name in ("prob_source", *COLUMNS[6:]))
    assert COLUMNS == list(answer.columns)[-len(COLUMNS) :]


def test_an_answer_has_the_probabilities_of_its_other_fields_as_well() -> None:
    """They are in the same reply, so they cost nothing."""
    answer = answered(Report, reply(body(REPORT, SAID)), "verdict", **SAMPLED)

    assert {"true": 0.675, "false": 0.2} == pytest.approx(answer.prob("findings[0].severe"))
    with pytest.raises(TaskError, match="is open"):
        answer.prob("thoughts")
    with pytest.raises(AnswerError, match=r"no probabilities of findings\[3\].label: the answer has no"):
        answer.prob("findings[3].label")


def test_a_bare_word_is_measured_with_what_stands_around_it() -> None:
    """Quotes, stars and full stops are no part of a label, and the answer may end with a token that has no text."""
    said = [
        listing("Hm.\n"),
        listing("**"),
        listing("Yes", 0.6, no=0.2, yes=0.1, Well=0.05),
        listing("**", 0.9, x=0.05),
    ]
    answer = answered(Literal["yes", "no"], reply(body([*said, listing("")], "Hm.\n**Yes**")), "answer", **SAMPLED)

    assert {"yes": 0.64, "no": 0.2} == pytest.approx(answer.prob())
    assert 0.6 == pytest.approx(answer.columns["prob_first_token"])


def test_a_word_that_may_go_on_is_counted_for_no_label() -> None:
    """`yes,` is as often the beginning of a sentence; only where the answer ends is it known to have been the label."""
    said = [listing("yes", 0.5, no=0.3, **{"yes,": 0.1}), listing("", 0.6, **{",": 0.2, ".": 0.1, " but": 0.05})]
    answer = answered(Literal["yes", "no"], reply(body(said, "yes")), "answer", **SAMPLED)

    assert {"yes": 0.5 * 0.6, "no": 0.3} == pytest.approx(answer.prob())
    assert pytest.approx([0.3, 1 - 0.3]) == answer.columns["prob_ranges"]["yes"]


def test_the_request_asks_for_twenty_tokens_at_each_place_unless_the_model_refuses() -> None:
    """What is asked for is part of the question, so that an answer without probabilities is never taken for one."""

    def sent(model: ResolvedModel = MODEL, **options: Any) -> tuple[Any, Any]:
        with TemporaryDirectory() as folder:
            asker = Asker(Store(Path(folder)), Prompts([]), lambda name: model)
            question = asker.prepare((Report, "Judge it"), options, Asking(CaseContext("case", 0), model))
        members = json.loads(question.wire)
        return members.get("logprobs"), members.get("top_logprobs")

    assert (None, None) == sent()
    assert (True, 20) == sent(probability_of="verdict")
    assert (True, 5) == sent(probability_of="verdict", extra_body={"top_logprobs": 5})
    assert (None, None) == sent(REFUSING, probability_of="verdict")
    few_came, five_at_most = (
        replace(MODEL, capabilities=each) for each in (Capabilities(alternatives=9), Capabilities(most_alternatives=5))
    )
    assert (True, 20) == sent(few_came, probability_of="verdict")  # at another place there may be more
    assert (True, 5) == sent(five_at_most, probability_of="verdict")


def test_what_is_not_drawn_at_the_temperature_that_is_sent_is_not_comparable() -> None:
    """A service may accept a temperature of 1 and answer alike every time; a probe has seen that."""
    unmoved = replace(MODEL, capabilities=Capabilities(ignored=("temperature",)))
    said = reply(body([listing("yes", 0.6, no=0.4), listing("")], "yes"))
    found = [answered(Literal["yes", "no"], said, "answer", model, **SAMPLED).columns for model in (MODEL, unmoved)]

    assert [True, False] == [each["prob_comparable"] for each in found]
    assert "does not follow temperature" in found[1]["prob_note"]


def test_a_row_says_that_its_model_refuses_probabilities_where_a_probe_has_found_that() -> None:
    """It is not the author who has not asked for them."""
    found = answered(Literal["yes", "no"], reply(body(None, "yes")), "answer", REFUSING).columns

    assert ("none", None) == (found["prob_source"], found["prob"])
    assert "a probe found that the model refuses them" in found["prob_note"]


WORDS = [listing("yes", 0.9, no=0.05, x=0.01), listing("")]


@pytest.mark.parametrize(
    ("listings", "source", "note"),
    [
        (None, "none", "the service returned no logprobs"),
        ([], "none", "the service returned no logprobs"),
        ([listing("yes"), listing("")], "none", "the logprobs of no other tokens"),
        ([listing("no", 0.9, yes=0.1), listing("")], "none", "do not spell answer"),
        ([listing("yes", 1.0, no=0.0, x=0.0), listing("")], "masked", "ruled out have no probability"),
        ([listing("yes", 0.7, no=0.3, x=0.0), listing("")], "masked", "ruled out have no probability"),
        ([listing("yes", 0.0, no=0.9), listing("")], "masked", "is listed as impossible"),
        ([listing("yes", 0.9, no=0.3), listing("")], "rescaled", "sum up to more than 1"),
        ([listing("ye", 1.0, no=1e-40), listing("s", 1.0, x=1e-50), listing("", 1.0, x=1e-60)], "rescaled", "near 0"),
    ],
)
def test_numbers_that_are_not_the_models_own_are_named_and_are_no_probability(
    listings: list[Listing] | None, source: str, note: str
) -> None:
    """Nothing, masked or rescaled: the row says which, and `prob` is empty, never 1 or 0."""
    answer = answered(Literal["yes", "no"], reply(body(listings, "yes")), "answer", **SAMPLED)

    assert (None, source, False) == (
        answer.columns["prob"],
        answer.columns["prob_source"],
        answer.columns["prob_comparable"] is True,
    )
    assert note in answer.columns["prob_note"]
    with pytest.raises(AnswerError, match="no probabilities of answer"):
        answer.prob()


def test_the_numbers_of_a_sampler_are_named() -> None:
    """llama.cpp gives them as `prob` where it is asked for `post_sampling_probs`."""
    content = body(WORDS, "yes").replace(b"top_logprobs", b"top_probs")
    sampled = json.loads(content)
    for entry in sampled["choices"][0]["logprobs"]["content"]:
        for each in (entry, *entry["top_probs"]):
            each["prob"] = math.exp(each.pop("logprob"))
    answer = answered(Literal["yes", "no"], reply(json.dumps(sampled).encode()), "answer", **SAMPLED)

    assert ("rescaled", None) == (answer.columns["prob_source"], answer.columns["prob"])
    assert 0.9 == pytest.approx(answer.columns["prob_labels"]["yes"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "temperature 0, top_p 0.001, top_k is the service's own"),
        ({"temperature": 1.0}, "top_k is the service's own (send extra_body {'top_k': 0}), min_p is the"),
        ({**SAMPLED, "top_p": 0.9}, "top_p 0.9"),
        ({**SAMPLED, "seed": 7}, "one seed for all repeats"),
        ({**SAMPLED, "reasks": 1}, "frequencies: reasks 1"),
        ({**SAMPLED, "extra_body": {"top_k": 0, "min_p": 0, "top_p": None}}, "top_p is the service's own"),
        ({**SAMPLED, "extra_body": {"top_k": 0, "min_p": 0, "response_format": {"type": "json_object"}}}, "a grammar"),
        ({"temperature": 1.0, "extra_body": {"top_k": 40, "min_p": 0}}, "top_k 40"),
        ({"temperature": 1.0, "extra_body": {"top_k": 0, "min_p": 0, "grammar": "root ::= x"}}, "(grammar)"),
        ({"temperature": 1.0, "extra_body": {"top_k": -1, "min_p": 0, "repeat_penalty": 1.1}}, "repeat_penalty 1.1"),
    ],
)
def test_what_makes_frequencies_differ_from_probabilities_is_named(options: dict[str, Any], said: str) -> None:
    """A person who compares the two without having sampled as the model gives them is told before a reviewer tells."""
    answer = answered(Literal["yes", "no"], reply(body(WORDS, "yes")), "answer", **options)

    assert answer.columns["prob_comparable"] is False
    assert said in answer.columns["prob_note"]
    assert 0.9 == pytest.approx(answer.columns["prob"])


def test_an_answer_that_is_free_by_its_own_response_format_is_comparable() -> None:
    """Sent in place of a schema it leaves the wording to the author, and the answer to the model."""
    model = replace(MODEL, endpoint=replace(MODEL.endpoint, structured="json_schema"))
    body_of_the_author = {"top_k": 0, "min_p": 0, "response_format": {"type": "text"}}
    options = {"temperature": 1.0, "extra_body": body_of_the_author}
    answer = answered(Literal["yes", "no"], reply(body(WORDS, "yes")), "answer", model, **options)

    assert (True, None) == (answer.columns["prob_comparable"], answer.columns["prob_note"])


def test_a_failed_answer_has_the_columns_and_nothing_in_them() -> None:
    """A refused request, an answer that does not parse and one that is not recorded are rows like all others."""
    for recorded in (reply(b"{}", status=400), reply(body(WORDS, "perhaps")), None):
        answer = answered(Literal["yes", "no"], recorded, "answer")

        assert dict.fromkeys(COLUMNS) | {"prob_source": "none"} == {name: answer.columns[name] for name in COLUMNS}
        with pytest.raises(AnswerError):
            answer.prob()


@pytest.mark.parametrize(
    ("shape", "path", "said"),
    [
        (Report, "verdikt", r'(?s)is no field of Report.*write probability_of="verdict"'),
        (Report, "findings[0].labl", r'(?s)closed .*write probability_of="findings\[0\].label"'),
        (Report, "thoughts", "is open: any value may stand there"),
        (Literal["a", "b"], "category", 'write probability_of="answer"'),
        (list[str], "[0]", "no field with a closed set of labels"),
        (Clashing, "label", "has a field `prob_note`, and so has every row"),
        (str, "answer", "give the ask a shape with labels"),
    ],
)
def test_a_field_that_is_wrong_or_open_is_the_authors_error_before_anything_is_asked(
    shape: Any, path: str, said: str
) -> None:
    """The rehearsal hears of it, so the run stops before it pays, whatever the task does with the exception."""
    heard: list[AuthorError] = []
    with TemporaryDirectory() as folder:
        asker = Asker(Store(Path(folder)), Prompts([]), lambda name: MODEL, on_author_error=heard.append)
        with pytest.raises(TaskError, match=said):
            asker.prepare((shape, "Judge it"), {"probability_of": path}, Asking(CaseContext("case", 0), MODEL))

    assert len(heard) == 1


def test_an_answer_that_was_asked_for_without_it_has_no_probabilities() -> None:
    """Nobody asked the service for them."""
    with pytest.raises(TaskError, match="without probability_of"):
        Answer("yes").prob("answer")
