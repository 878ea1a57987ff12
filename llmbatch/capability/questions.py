"""The questions of a probe, as the bodies of requests. Each is made so that a service that passes over what it is asked
for shows it. Their bytes are part of recorded requests: a change of one word asks every model anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from llmbatch.config.capabilities import LimitName

MARK = "quartz-41"
"""The only value that the schema lets pass. No prompt names it, so that it comes from the schema alone."""
TOKENS = 48
"""The most tokens of an answer: enough for the schema's whole answer, and for words that are plainly none."""
TOKENS_OF_A_THINKER = 1500
"""The same for a model that thinks first, whose thoughts are counted with the answer."""
TOKENS_OF_A_COUNT = 16
ALTERNATIVES = 20
FEWER_ALTERNATIVES = 5
SAMPLING: Mapping[str, float] = {"temperature": 1.0, "top_p": 1.0}
BUILT_IN: Mapping[str, float] = {"temperature": 0.0, "top_p": 0.001}
SEEDS = (4217, 90125)

_COUNT = "Count from one to forty in words, with a comma after each. Begin at once."
_FRUIT = "Name a fruit. Answer with one word."
_SEA = "Write one short sentence in English about the sea. Write plain words and no JSON."
_NUMBER = "Think of a random integer from 1 to 100. Answer with the number only."
_NUMBERS = "Write ten random integers from 1 to 100, separated by commas. Write nothing else."
_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"mark": {"type": "string", "enum": [MARK]}},
    "required": ["mark"],
    "additionalProperties": False,
}
_FUNCTION = {"name": "note", "description": "Give the answer", "parameters": _SCHEMA}
_OWN = frozenset({"model", "messages", "max_completion_tokens", "max_tokens", "n", "seed", "stop"})
_FORMS = frozenset({"response_format", "tools", "tool_choice", "logprobs", "top_logprobs", "stream", "stream_options"})


class Question(NamedTuple):
    """One request of a probe. `name` tells what it is for, `draw` which of equal requests it is."""

    name: str
    body: bytes
    draw: int = 0


class Wording(NamedTuple):
    """What all questions to one model share: its name, what the configuration adds, and what the model takes.

    `limit_name` None: it takes no limit of its answer's length. `refused` are parameters that are not sent.
    `tokens_of_a_beginning` are for questions of which the first words of an answer tell all, thoughts or not.
    """

    model: str
    defaults: Mapping[str, Any]
    limit_name: LimitName | None = "max_tokens"
    refused: frozenset[str] = frozenset()
    tokens: int = TOKENS
    tokens_of_a_beginning: int = TOKENS
    tokens_of_a_count: int = TOKENS_OF_A_COUNT

    def ask(
        self, name: str, prompt: str, members: Mapping[str, Any], *, draw: int = 0, tokens: int | None = None
    ) -> Question:
        """Return a question with these members of the body; one that the model refuses is left away."""
        messages = [{"role": "user", "content": prompt}]
        body: dict[str, Any] = {"model": self.model, "messages": messages, **added_to_all(self.defaults)}
        body.update({key: value for key, value in members.items() if key not in self.refused})
        if self.limit_name is not None:
            body[self.limit_name] = tokens or self.tokens
        return Question(name, orjson.dumps({key: value for key, value in body.items() if value is not None}), draw)


def added_to_all(defaults: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the configuration adds to each question, to those of a probe too."""
    own = _OWN | _FORMS | BUILT_IN.keys()
    return {key: value for key, value in defaults.items() if key not in own and value is not None}


def counting(wording: Wording, parameters: Mapping[str, float] = BUILT_IN, name: str = "parameters") -> Question:
    """Return the plain question that every parameter of an ask is tried with; its answer is longer than its limit."""
    return wording.ask(name, _COUNT, parameters, tokens=wording.tokens_of_a_count)


def features(wording: Wording) -> list[Question]:
    """Return what is asked once it is known which parameters the model takes."""
    ask, begin, (first, second) = wording.ask, wording.tokens_of_a_beginning, SEEDS
    schema = {"type": "json_schema", "json_schema": {"name": "note", "schema": _SCHEMA, "strict": True}}
    function = {"tools": [{"type": "function", "function": _FUNCTION}], "tool_choice": "required"}
    streamed = {"stream": True, "stream_options": {"include_usage": True}}
    questions = [
        ask("json_schema", _FRUIT, {"response_format": schema, **BUILT_IN}),
        ask("json_object", _SEA, {"response_format": {"type": "json_object"}, **BUILT_IN}),
        ask("tools", _FRUIT, {**function, **BUILT_IN}),
        likely(wording, ALTERNATIVES),
        ask("seed", _NUMBERS, {"seed": first, **SAMPLING}),
        ask("same seed", _NUMBERS, {"seed": first, **SAMPLING}, draw=1),
        ask("other seed", _NUMBERS, {"seed": second, **SAMPLING}),
        ask("n", _NUMBER, {"n": 2, **SAMPLING}, tokens=begin),
        ask("stream_usage", _NUMBER, {**streamed, **BUILT_IN}, tokens=begin),
    ]
    if "temperature" not in wording.refused:
        questions.append(likely(wording, ALTERNATIVES, BUILT_IN, name="logprobs at temperature 0"))
    return questions


def likely(
    wording: Wording, alternatives: int | None, parameters: Mapping[str, float] = SAMPLING, name: str = "logprobs"
) -> Question:
    """Return the question for probabilities of tokens, with so many alternatives to each, or none."""
    members = {"logprobs": True, "top_logprobs": alternatives, **parameters}
    return wording.ask(name, _NUMBER, members, tokens=wording.tokens_of_a_beginning)
