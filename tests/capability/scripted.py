"""A service as a function: a request's body in, a reply out. What it follows, passes over and refuses is scripted."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import orjson

from llmbatch.call.values import Reply
from llmbatch.capability.probe import probe
from llmbatch.capability.questions import Question
from llmbatch.config import Capabilities

NUMBERS = {"42": 0.4, "17": 0.3, "73": 0.2, "88": 0.1}


@dataclass
class Service:
    """`follows` and `refuses` are members of a request; `wording` is what a refusal of one of them says.

    `logprobs` tells how it reports probabilities, `down` the questions (by a member or word in them) that it is too
    busy for, `least_tokens` how few it needs for its thoughts.
    """

    follows: frozenset[str] = frozenset()
    refuses: frozenset[str] = frozenset()
    wording: str = "Unsupported parameter: '{name}' is not supported with this model."
    logprobs: str = "raw"
    thinks: bool = False
    down: frozenset[str] = frozenset()
    least_tokens: int = 0
    heard: list[dict[str, Any]] = field(default_factory=list)

    def reply(self, question: Question) -> Reply | None:
        """Return the reply; None for one that decides nothing."""
        body = orjson.loads(question.body)
        self.heard.append(body)
        names = body.keys() | {str(body.get("response_format", {}).get("type"))}
        if names & self.down or "everything" in self.down:
            return None
        refused = sorted(names & self.refuses)
        if refused:
            said = {"message": self.wording.format(name=refused[0]), "type": "invalid_request_error"}
            return Reply(400, "Bad Request", {}, orjson.dumps({"error": said}))
        if max(body.get("max_tokens", 0), body.get("max_completion_tokens", 0)) < self.least_tokens:
            said = {"message": "Could not finish the message because max_tokens or model output limit was reached."}
            return Reply(400, "Bad Request", {}, orjson.dumps({"error": said}))
        if "stream" in body and "stream" in self.follows:
            return self._streamed(body)
        number = body.get("n", 1) if "n" in self.follows else 1
        document: dict[str, Any] = {
            "object": "chat.completion",
            "choices": [self._choice(body, question.draw) for _ in range(number)],
            "usage": {"prompt_tokens": 9, "completion_tokens": 16 if "max_tokens" in self.follows else 90},
        }
        return Reply(200, "OK", {"content-type": ("application/json",)}, orjson.dumps(document))

    def _choice(self, body: dict[str, Any], draw: int) -> dict[str, Any]:
        follows, kind = self.follows, body.get("response_format", {}).get("type")
        message: dict[str, Any] = {"role": "assistant", "content": self._words(body, draw)}
        if self.thinks:
            message["reasoning_content"] = "Let me think."
        if kind == "json_schema" and kind in follows:
            message["content"] = '{"mark": "quartz-41"}'
        if kind == "json_object" and kind in follows:
            message["content"] = '{"sentence": "The sea is'
        if "tools" in body and "tools" in follows:
            call = {"id": "1", "type": "function", "function": {"name": "note", "arguments": '{"mark":"kiwi"}'}}
            message |= {"content": None, "tool_calls": [call]}
        choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": "length"}
        if body.get("logprobs") and "logprobs" in follows:
            begun = [_certain("<think>"), _certain("Okay")] if self.thinks else []
            choice["logprobs"] = {"content": [*begun, self._position(body)]}
        return choice

    def _words(self, body: dict[str, Any], draw: int) -> str:
        if "temperature" not in self.follows or not body.get("temperature"):
            return "one, two, three, four"
        drawn = repr([body.get("seed") if "seed" in self.follows else draw, body.get("seed")])
        return hashlib.sha256(drawn.encode()).hexdigest() if "seed" in self.follows else f"draw {draw}"

    def _position(self, body: dict[str, Any]) -> dict[str, Any]:
        chances = dict(NUMBERS)
        if self.logprobs == "masked" or (self.logprobs == "rescaled" and not body["temperature"]):
            chances = {token: float(token == "42") for token in chances}
        logs = {token: math.log(chance) if chance else -9999.0 for token, chance in chances.items()}
        most = body.get("top_logprobs", 0) if "top_logprobs" in self.follows else 0
        told = [{"token": token, "logprob": log} for token, log in list(logs.items())[:most]]
        return {"token": "42", "logprob": logs["42"], "top_logprobs": told}

    def _streamed(self, body: dict[str, Any]) -> Reply:
        events: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": {"content": "7"}, "finish_reason": "stop"}]}]
        if "stream_options" in self.follows:
            events.append({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 1}})
        lines = b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in events)
        return Reply(200, "OK", {"content-type": ("text/event-stream",)}, lines + b"data: [DONE]\n\n")


def _certain(token: str) -> dict[str, Any]:
    told = [{"token": token, "logprob": 0.0}, {"token": "!", "logprob": -20.0}]
    return told[0] | {"top_logprobs": told}


ALL = frozenset(
    {
        *("json_schema", "json_object", "tools", "logprobs", "top_logprobs", "seed", "n", "stream", "stream_options"),
        *("temperature", "max_tokens"),
    }
)


def probed(service: Service, model: str = "m", **defaults: Any) -> Capabilities:
    """Return what a probe of the service finds out."""
    return found_by(service.reply, model, defaults)


def found_by(
    reply_to: Callable[[Question], Reply | None], model: str = "m", defaults: Mapping[str, Any] = MappingProxyType({})
) -> Capabilities:
    """Return what a probe finds out by these replies."""
    conversation = probe(model, defaults)
    questions: Sequence[Question] = next(conversation)
    while True:
        try:
            questions = conversation.send([reply_to(question) for question in questions])
        except StopIteration as end:
            found: Capabilities = end.value
            return found
