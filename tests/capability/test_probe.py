"""What a probe finds out of services that follow, pass over, refuse or are down. A reply says what it says."""

from __future__ import annotations

import hashlib
import math

import orjson
import pytest

from llmbatch.call.values import Reply
from llmbatch.capability import reading
from llmbatch.capability.likelihoods import positions_of
from llmbatch.capability.probe import probe
from llmbatch.capability.questions import MARK, Question, Wording, counting, features, likely
from llmbatch.capability.words import FACTS, rows, summary
from llmbatch.config import UNKNOWN, Capabilities
from tests.capability.scripted import ALL, Service, found_by, probed

GOLDEN = "c805bf33ac8ce6d5434c7235229e0ceb878ed374cf94e602cd27b224a5052e96"


def test_a_service_that_follows_everything_is_found_to() -> None:
    """Every flag is seen in a reply that only a service which follows it gives."""
    found = probed(Service(ALL))

    assert dict.fromkeys(FACTS, "yes") == {name: getattr(found, name) for name in FACTS}
    assert ((), (), "max_tokens", 4) == (found.left_out, found.ignored, found.limit_name, found.alternatives)


def test_a_service_that_accepts_everything_and_follows_nothing_is_seen_through() -> None:
    """Silent ignoring is the rule among compatible servers: nothing of it passes for support."""
    found = probed(Service())

    assert {name: "ignored" for name in FACTS if name != "seed"} == {
        name: getattr(found, name) for name in FACTS if name != "seed"
    }
    assert ("unknown", ("temperature", "max_tokens")) == (found.seed, found.ignored)
    assert found.mode() == "text"


@pytest.mark.parametrize("name", sorted(ALL - {"temperature", "max_tokens", "stream", "stream_options", "seed"}))
def test_each_flag_that_is_passed_over_is_told_from_the_others(name: str) -> None:
    """A server follows some flags and not others; one does not hide another."""
    found = probed(Service(ALL - {name}))

    expected = dict.fromkeys(FACTS, "yes") | {name: "ignored"}
    if name == "logprobs":
        expected["top_logprobs"] = "ignored"
    assert expected == {each: getattr(found, each) for each in FACTS}


def test_a_seed_that_is_passed_over_shows_in_two_draws_that_differ() -> None:
    """Two draws at temperature 1 of ten random numbers."""
    assert probed(Service(ALL - {"seed"})).seed == "ignored"


def test_a_temperature_that_is_passed_over_shows_in_draws_that_do_not_differ() -> None:
    """Three equal answers with two seeds were not drawn, and say nothing of the seed."""
    found = probed(Service(ALL - {"temperature"}))

    assert ("unknown", ("temperature",)) == (found.seed, found.ignored)


def test_what_is_refused_is_told_from_what_is_passed_over() -> None:
    """A 400 that is not about length or content says that the flag is not taken."""
    found = probed(Service(ALL, refuses=frozenset({"response_format", "tools", "logprobs", "seed", "n", "stream"})))

    assert dict.fromkeys(FACTS, "refused") == {name: getattr(found, name) for name in FACTS}
    assert ("text", ("seed",)) == (found.mode("json_schema"), found.left_out)


def test_parameters_that_a_reasoning_model_refuses_are_left_out_and_the_limit_renamed() -> None:
    """Each refusal names one; the question is put again without it until it is answered."""
    refused = frozenset({"temperature", "top_p", "max_tokens"})
    service = Service(ALL | {"max_completion_tokens"}, refuses=refused)
    found = probed(service)

    assert (("temperature", "top_p"), "max_completion_tokens") == (found.left_out, found.limit_name)
    assert all(refused.isdisjoint(body) for body in service.heard[3:])
    sent = {"temperature": 0.0, "top_p": 0.001, "max_tokens": 500, "seed": 1}
    assert {"max_completion_tokens": 500, "seed": 1} == found.fitted(sent)
    assert {"max_tokens": 9, "temperature": 1.0} == found.fitted({"max_tokens": 9, "temperature": 1.0}, sent)


@pytest.mark.parametrize("refused", ["temperature", "top_p"])
def test_a_refusal_that_names_nothing_is_found_by_trying_one_by_one(refused: str) -> None:
    """Some gateways say `bad request` and no more."""
    found = probed(Service(ALL, refuses=frozenset({refused}), wording="Bad request"))

    assert ((refused,), "max_tokens") == (found.left_out, found.limit_name)
    assert found.json_schema == "yes"


def test_a_model_that_takes_no_limit_is_sent_none() -> None:
    """Neither name of it."""
    found = probed(Service(ALL, refuses=frozenset({"max_tokens", "max_completion_tokens"})))

    assert found.left_out == ("max_tokens",)
    assert {"temperature": 0.0} == found.fitted({"temperature": 0.0, "max_tokens": 500})


def test_an_outage_decides_nothing() -> None:
    """A service that is down is asked one question, and nothing is concluded; down for a moment, it loses one fact."""
    down = Service(ALL, down=frozenset({"everything"}))
    for_a_moment = probed(Service(ALL, down=frozenset({"json_schema"})))

    assert (UNKNOWN, 1) == (probed(down), len(down.heard))
    assert ("unknown", "yes") == (for_a_moment.json_schema, for_a_moment.json_object)
    assert for_a_moment.mode() == "json_schema"


@pytest.mark.parametrize(("told", "expected"), [("masked", "masked"), ("rescaled", "rescaled"), ("raw", "yes")])
def test_probabilities_that_say_nothing_or_follow_the_temperature_are_named(told: str, expected: str) -> None:
    """Those of the model itself are the same at temperature 0 and at 1, and not all certain."""
    assert probed(Service(ALL, logprobs=told)).logprobs == expected


def test_a_model_that_is_sure_of_how_it_begins_to_think_is_compared_behind_that() -> None:
    """Its first token is as certain at any temperature; both answers share it, and so what stands behind it counts."""
    assert {"raw": "yes", "rescaled": "rescaled"} == {
        told: probed(Service(ALL, logprobs=told, thinks=True)).logprobs for told in ("raw", "rescaled")
    }


def test_alternatives_of_one_text_are_counted_each() -> None:
    """Pieces of a character have no text of their own; how many come decides how many are asked for."""
    entry = {"token": "4", "logprob": math.log(0.5), "top_logprobs": []}
    entry["top_logprobs"] = [{"token": text, "logprob": math.log(0.25)} for text in ("4", "\ufffd", "\ufffd")]
    body = orjson.dumps({"choices": [{"logprobs": {"content": [entry]}}]})
    (position,) = positions_of(Reply(200, "OK", {}, body))

    assert position.told == 3
    assert pytest.approx(0.5) == math.exp(position.alternatives["\ufffd"])


def test_fewer_alternatives_are_asked_for_where_twenty_are_refused() -> None:
    """And none where five are: the probabilities of the tokens alone are still worth having."""
    service = Service(ALL, refuses=frozenset({"top_logprobs"}))

    found = probed(service)
    assert ("yes", "refused", 0) == (found.logprobs, found.top_logprobs, found.alternatives)
    assert (20, 5) == (probed(Service(ALL)).most_alternatives, found.most_alternatives)
    assert [20, 5, None] == [body.get("top_logprobs") for body in service.heard if body.get("logprobs")][1:]


def test_a_model_that_thinks_is_given_room_for_it() -> None:
    """Its thoughts would use up the few tokens of the other questions."""
    service = Service(ALL, thinks=True)
    probed(service)

    short = [body["max_tokens"] for body in service.heard if body.keys() & {"n", "stream", "logprobs"}]
    assert {48} == set(short)
    assert [16] + [1500] * 6 == [body["max_tokens"] for body in service.heard if body["max_tokens"] != 48]


def test_a_model_that_hides_its_thoughts_is_given_room_for_them_in_every_question() -> None:
    """A beginning of its answer is empty, and tells nothing."""
    silent = Service(ALL)

    def reply(question: Question) -> Reply | None:
        said = silent.reply(question)
        if said is None or silent.heard[-1]["max_tokens"] > 48:
            return said
        cut = {"message": {"role": "assistant", "content": ""}, "finish_reason": "length"}
        return Reply(200, "OK", {"content-type": ("application/json",)}, orjson.dumps({"choices": [cut]}))

    assert dict.fromkeys(FACTS, "yes") == {name: getattr(found_by(reply), name) for name in FACTS}


def test_a_limit_that_is_too_low_for_a_model_to_think_is_raised() -> None:
    """The refusal names `max_tokens`, and is not about whether it is taken."""
    service = Service(ALL, least_tokens=200, refuses=frozenset({"temperature"}))
    found = probed(service)

    assert (("temperature",), (), "max_tokens", "yes") == (
        found.left_out,
        found.ignored,
        found.limit_name,
        found.json_schema,
    )
    assert [16, 16, 1500] == [body["max_tokens"] for body in service.heard][:3]
    assert {1500} == {body["max_tokens"] for body in service.heard[2:]}


def test_what_the_configuration_adds_to_requests_is_part_of_the_questions() -> None:
    """What decides which of many machines answers decides what it can do; what the probe varies is its own."""
    service = Service(ALL)
    probed(service, provider={"only": ["x"]}, temperature=0.3, max_tokens=9, seed=5)

    assert all(body["provider"] == {"only": ["x"]} for body in service.heard)
    assert {0.0, 1.0} == {body["temperature"] for body in service.heard}
    assert {16, 48} == {body["max_tokens"] for body in service.heard}


def reply_with(content: str | None, finish_reason: str = "stop") -> Reply:
    """Return a completion that says this."""
    choice = {"message": {"role": "assistant", "content": content}, "finish_reason": finish_reason}
    return Reply(200, "OK", {}, orjson.dumps({"choices": [choice]}))


@pytest.mark.parametrize(
    ("content", "finish_reason", "expected"),
    [
        ('{"mark":"quartz-41"}', "stop", "yes"),
        ('\n {"mark" : "quartz-41"} ', "stop", "yes"),
        ('{"mark":"apple"}', "stop", "ignored"),
        ('{"fruit":"apple"}', "stop", "ignored"),
        ('```json\n{"mark":"quartz-41"}\n```', "stop", "ignored"),
        ("Apple", "stop", "ignored"),
        ('<think>\nA fruit.\n</think>\n{"mark":"quartz-41"}', "stop", "yes"),
        ("<think>\nA fruit.\n</think>\nApple", "stop", "ignored"),
        ("<think>\nA fruit. Or", "length", "unknown"),
        ("", "length", "unknown"),
        (None, "length", "unknown"),
    ],
)
def test_a_schema_is_kept_to_where_its_one_value_comes_and_nothing_else(
    content: str | None, finish_reason: str, expected: str
) -> None:
    """JSON of another form is JSON mode, and a fence is an obliging model."""
    assert reading.schema_support(reply_with(content, finish_reason)) == expected


@pytest.mark.parametrize(
    ("content", "finish_reason", "expected"),
    [
        ('{"sentence":"The sea is wide."}', "stop", "yes"),
        ('{"sentence":"The sea', "length", "yes"),
        ("\n\n\n \n", "length", "yes"),
        ("<think>\nWords.\n</think>\n\n", "length", "unknown"),
        ("The sea is wide.", "stop", "ignored"),
        ("The sea is wide and", "length", "ignored"),
        ('"The sea is wide."', "stop", "ignored"),
        (None, "stop", "unknown"),
    ],
)
def test_json_mode_is_kept_to_where_it_overrides_the_wish_for_plain_words(
    content: str | None, finish_reason: str, expected: str
) -> None:
    """A mode that is enforced writes white space without end rather than words."""
    assert reading.object_support(reply_with(content, finish_reason)) == expected


@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [
        (400, "Unsupported value: 'temperature' does not support 0 with this model.", True),
        (422, "temperature: extra fields not permitted", True),
        (400, "Could not finish the message because max_tokens or model output limit was reached.", False),
        (400, "This model's maximum context length is 4097 tokens", False),
        (503, "overloaded", False),
        (429, "slow down", False),
    ],
)
def test_a_refusal_is_told_from_a_service_that_cannot_answer(status: int, said: str, *, expected: bool) -> None:
    """Only what would be refused for ever decides."""
    reply = Reply(status, "", {}, b'{"error":{"message":"%b"}}' % said.encode())

    assert reading.refuses(reply) is expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"error":{"message":"Unsupported parameter","param":"top_p"}}', "top_p"),
        (
            b'{"error":{"message":"Unsupported parameter: \'max_tokens\'. Use \'max_completion_tokens\'."}}',
            "max_tokens",
        ),
        (b'{"error":{"message":"`temperature` and `top_p` cannot both be specified"}}', "top_p"),
        (b'{"detail":[{"loc":["body","temperature"],"msg":"extra fields not permitted"}]}', "temperature"),
        (b'{"error":{"message":"max_completion_tokens is required"}}', None),
        (b"temperature must be 1", "temperature"),
        (b"no", None),
    ],
)
def test_the_parameter_that_a_refusal_is_about_is_found_in_its_words(body: bytes, expected: str | None) -> None:
    """In `param` where services say it, else by its name as a word of its own."""
    assert reading.refused_parameter(Reply(400, "", {}, body), ["max_tokens", "top_p", "temperature"]) == expected


def test_no_prompt_names_the_value_of_the_schema() -> None:
    """Else a model could say it without ever having seen the schema."""
    for question in features(Wording("m", {})):
        assert MARK.encode() not in question.body.split(b'"response_format"')[0].split(b'"tools"')[0]


def test_the_questions_are_those_that_cassettes_hold() -> None:
    """A changed byte would ask every model anew, and find no recorded probe: the modes of old studies would move."""
    wording = Wording("m", {})
    refused = Wording("m", {}, limit_name="max_completion_tokens", refused=frozenset({"temperature", "top_p"}))
    asked = [counting(wording), *features(wording), likely(wording, 5), likely(wording, None), counting(refused)]
    asked += features(refused)

    assert GOLDEN == hashlib.sha256(b"\n".join(b"%b %d" % (each.body, each.draw) for each in asked)).hexdigest()


def test_equal_replies_lead_to_equal_questions() -> None:
    """So that a replay finds all of them in the cassette."""
    first, second = (
        Service(ALL - {"n"}, refuses=frozenset({"top_p"})),
        Service(ALL - {"n"}, refuses=frozenset({"top_p"})),
    )

    assert (probed(first), first.heard) == (probed(second), second.heard)
    asked = next(probe("m", {}))
    assert isinstance(asked[0], Question)


def test_a_person_is_told_in_one_line_what_is_not_as_it_should_be() -> None:
    """A service that follows everything has a short line."""
    fine = probed(Service(ALL))
    odd = Capabilities(
        json_schema="refused",
        json_object="ignored",
        tools="yes",
        logprobs="masked",
        top_logprobs="yes",
        seed="ignored",
        n="unknown",
        stream_usage="yes",
        left_out=("top_p",),
        ignored=("max_tokens",),
        limit_name="max_completion_tokens",
    )

    assert "shapes are asked for by json_schema" == summary(fine, "json_schema")
    assert (
        "shapes are asked for by tool; left out: top_p; max_tokens is sent as max_completion_tokens; "
        "refused: json_schema; masked: logprobs; unknown: n; "
        "accepted and not followed: max_tokens, json_object, seed"
    ) == summary(odd, "tool")
    assert [*FACTS, "temperature", "top_p", "max_tokens"] == [row.name for row in rows(odd)]
