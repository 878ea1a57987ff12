"""A probe as a conversation: rounds of questions, each made from the replies to those before, and at the end the facts.

It is a generator, so that one piece of code decides whether a reply was just received or found in a cassette. The same
replies always lead to the same next questions, and to the same facts.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from llmbatch.call.values import Reply
from llmbatch.capability import reading
from llmbatch.capability.likelihoods import positions_of, support_of
from llmbatch.capability.questions import (
    ALTERNATIVES,
    BUILT_IN,
    FEWER_ALTERNATIVES,
    TOKENS,
    TOKENS_OF_A_COUNT,
    TOKENS_OF_A_THINKER,
    Question,
    Wording,
    counting,
    features,
    likely,
)
from llmbatch.config.capabilities import UNKNOWN, Capabilities, LimitName, LogprobSupport, Support
from llmbatch.parse.completion import Completion

Probe: TypeAlias = Generator[Sequence[Question], Sequence[Reply | None], Capabilities]
"""Yields the questions of a round, is sent the replies to them (None: none came that decides anything), and returns
what was found out."""

_LIMITS: tuple[LimitName | None, ...] = ("max_tokens", "max_completion_tokens", None)


class _Taken(NamedTuple):
    """What the model takes, an answer to the plain question, and whether that answer was to be short."""

    wording: Wording
    answer: Completion
    is_limited: bool


def probe(model: str, defaults: Mapping[str, Any]) -> Probe:
    """Return the probe of a model by its name on the wire; `defaults` is what the configuration adds to requests.

    A model of which the first questions find out nothing is not asked further: nothing is known of it.
    """
    taken = yield from _parameters(Wording(model, defaults))
    if taken is None:
        return UNKNOWN
    wording = taken.wording
    if reading.thinks(taken.answer):
        is_seen_at_once = wording.tokens_of_a_count == TOKENS_OF_A_COUNT and reading.shows_thoughts(taken.answer)
        beginning = TOKENS if is_seen_at_once else TOKENS_OF_A_THINKER
        wording = wording._replace(tokens=TOKENS_OF_A_THINKER, tokens_of_a_beginning=beginning)
    questions = features(wording)
    replies = yield questions
    said = {question.name: reply for question, reply in zip(questions, replies, strict=True)}
    logprobs, alternatives, top_logprobs = yield from _likelihoods(wording, said)
    seed, temperature_is_ignored = reading.seed_support(said["seed"], said["same seed"], said["other seed"])
    return Capabilities(
        json_schema=reading.schema_support(said["json_schema"]),
        json_object=reading.object_support(said["json_object"]),
        tools=reading.tool_support(said["tools"]),
        logprobs=logprobs,
        top_logprobs=top_logprobs,
        alternatives=alternatives,
        most_alternatives=FEWER_ALTERNATIVES if _no(said["logprobs"]) else ALTERNATIVES,
        seed=seed,
        n=reading.n_support(said["n"]),
        stream_usage=reading.stream_support(said["stream_usage"]),
        left_out=_left_out(wording, seed),
        ignored=_ignored(taken, temperature_is_ignored=temperature_is_ignored),
        limit_name=wording.limit_name or "max_tokens",
    )


def _parameters(wording: Wording) -> Generator[Sequence[Question], Sequence[Reply | None], _Taken | None]:
    """Find out which parameters the model takes; None where it gives no answer that tells."""
    while True:
        [reply] = yield [counting(wording)]
        answer = reading.completion_of(reply)
        if answer is not None:
            is_limited = wording.limit_name is not None and wording.tokens_of_a_count == TOKENS_OF_A_COUNT
            return _Taken(wording, answer, is_limited)
        if reading.wants_more_tokens(reply) and wording.tokens_of_a_count == TOKENS_OF_A_COUNT:
            most = TOKENS_OF_A_THINKER
            wording = wording._replace(tokens=most, tokens_of_a_beginning=most, tokens_of_a_count=most)
            continue
        if reply is None or not reading.refuses(reply):
            return None
        named = reading.refused_parameter(reply, _sent(wording))
        if named is None:
            return (yield from _one_by_one(wording))
        wording = _without(wording, named)


def _one_by_one(wording: Wording) -> Generator[Sequence[Question], Sequence[Reply | None], _Taken | None]:
    """Try each parameter alone, of a model that refuses them without saying which."""
    bare = wording._replace(limit_name=None, refused=frozenset(BUILT_IN))
    [reply] = yield [counting(bare, name="without parameters")]
    answer = reading.completion_of(reply)
    if answer is None:
        return None
    limited = [bare._replace(limit_name=limit) for limit in _LIMITS if limit is not None]
    single = [bare._replace(refused=bare.refused - {name}) for name in BUILT_IN]
    replies = yield [counting(each, name="one parameter") for each in (*limited, *single)]
    of_limits, of_single = replies[: len(limited)], replies[len(limited) :]
    limit = next((each.limit_name for each, said in zip(limited, of_limits, strict=True) if not _no(said)), None)
    refused = frozenset(name for name, said in zip(BUILT_IN, of_single, strict=True) if _no(said))
    if limit == wording.limit_name and refused == wording.refused:  # each is taken, and they are not taken together
        refused |= {"top_p"}
    short = next((found for said in of_limits if (found := reading.completion_of(said)) is not None), None)
    return _Taken(bare._replace(limit_name=limit, refused=refused), short or answer, short is not None)


def _likelihoods(
    wording: Wording, said: Mapping[str, Reply | None]
) -> Generator[Sequence[Question], Sequence[Reply | None], tuple[LogprobSupport, int, Support]]:
    """Find out what probabilities are told, with how many alternatives, and whether these can be asked for."""
    sampled, greedy = said["logprobs"], said.get("logprobs at temperature 0")
    if _no(sampled):
        sampled, alone = yield [
            likely(wording, FEWER_ALTERNATIVES, name="logprobs, fewer alternatives"),
            likely(wording, None, name="logprobs alone"),
        ]
        greedy = None
        if _no(sampled):
            support: LogprobSupport = "refused" if _no(alone) else _worth(alone, None)
            return support, 0, "refused"
    support = _worth(sampled, greedy)
    if support in ("ignored", "unknown"):
        return support, 0, "ignored" if support == "ignored" else "unknown"
    assert sampled is not None
    positions = positions_of(sampled)
    told = max(position.told for position in positions)
    return support, told, "yes" if any(position.possible > 1 for position in positions) else "ignored"


def _worth(sampled: Reply | None, greedy: Reply | None) -> LogprobSupport:
    if sampled is None or reading.completion_of(sampled) is None:
        return "unknown"
    return support_of(positions_of(sampled), None if greedy is None else positions_of(greedy))


def _no(reply: Reply | None) -> bool:
    return reading.refuses(reply)


def _sent(wording: Wording) -> list[str]:
    """Return the parameters of a question, in the order in which they are given up."""
    limit = [] if wording.limit_name is None else [wording.limit_name]
    return [*limit, *(name for name in reversed(list(BUILT_IN)) if name not in wording.refused)]


def _without(wording: Wording, name: str) -> Wording:
    if name == wording.limit_name:
        return wording._replace(limit_name=_LIMITS[_LIMITS.index(wording.limit_name) + 1])
    return wording._replace(refused=wording.refused | {name})


def _left_out(wording: Wording, seed: Support) -> tuple[str, ...]:
    refused = [name for name in BUILT_IN if name in wording.refused]
    return (
        *refused,
        *(["max_tokens"] if wording.limit_name is None else []),
        *(["seed"] if seed == "refused" else []),
    )


def _ignored(taken: _Taken, *, temperature_is_ignored: bool) -> tuple[str, ...]:
    temperature = temperature_is_ignored and "temperature" not in taken.wording.refused
    length = taken.is_limited and reading.passes_its_limit(taken.answer)
    return (*(["temperature"] if temperature else []), *(["max_tokens"] if length else []))
