"""OpenAI's chat completions: strict schemas, refusals in a member of their own, and models that refuse parameters.

Facts: the API reference and the guide to structured outputs on platform.openai.com; the wording of a refused
parameter is that of openai/openai-python#2048 and like reports.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.dialects.dialect import Dialect, Said, Scene
from tests.support.dialects.heard import Heard


class OpenAI(Dialect):
    """All modes are honoured; usage has its details, and a refusal is no content."""

    name = "openai"

    def dressed(self, document: dict[str, Any], heard: Heard) -> dict[str, Any]:
        for choice in document["choices"]:
            choice["message"].setdefault("refusal", None)
            choice["message"]["annotations"] = []
        document["usage"]["prompt_tokens_details"] = {"cached_tokens": 3, "audio_tokens": 0}
        document["usage"]["completion_tokens_details"] = {"reasoning_tokens": 2, "audio_tokens": 0}
        return {**document, "model": f"{document['model']}-2026-01-01", "system_fingerprint": "fp_1"}

    def scenes(self) -> Mapping[str, Scene]:
        return {
            "good": Scene(
                self.good,
                columns={
                    "llmbatch_served_model": f"{self.model}-2026-01-01",
                    "llmbatch_fingerprint": "fp_1",
                    "llmbatch_tokens_cached": 3,
                    "llmbatch_tokens_reasoning": 2,
                },
            ),
            "refuses": Scene(self._refuses, "refusal", "I cannot help with that."),
            "cut": Scene(self._cut, "truncated", columns={"llmbatch_finish_reason": "length"}),
            "filtered": Scene(self._filtered, "content_filter"),
            "too long": Scene(self._too_long, "context_length", "maximum context length"),
            "bad parameter": Scene(self._bad_parameter, "bad_request", "Unsupported value: 'temperature'"),
            "called stop": Scene(self._called_stop),
        }

    def _with_message(self, heard: Heard, finish_reason: str, **message: Any) -> Said:
        said = self.good(heard)
        choice = said.document["choices"][0]
        choice["message"].pop("tool_calls", None)
        choice["message"].update(message)
        choice["finish_reason"] = finish_reason
        return said

    def _refuses(self, heard: Heard) -> Said:
        return self._with_message(heard, "stop", content=None, refusal="I cannot help with that.")

    def _cut(self, heard: Heard) -> Said:
        said = self.good(heard)
        choice = said.document["choices"][0]
        choice["finish_reason"] = "length"
        if "tool_calls" in choice["message"]:
            choice["message"]["tool_calls"][0]["function"]["arguments"] = '{"reasoning_steps":["The'
        else:
            choice["message"]["content"] = '{"reasoning_steps":["The'
        return said

    def _filtered(self, heard: Heard) -> Said:
        return self._with_message(heard, "content_filter", content="")

    def _called_stop(self, heard: Heard) -> Said:
        """A function that is named or forced ends with `stop` on some models."""
        said = self.good(heard)
        said.document["choices"][0]["finish_reason"] = "stop"
        return said

    def _too_long(self, heard: Heard) -> Said:
        message = (
            "This model's maximum context length is 128000 tokens. However, your messages resulted in 128012 tokens."
        )
        return self.error(400, message, code="context_length_exceeded", param="messages")

    def _bad_parameter(self, heard: Heard) -> Said:
        message = "Unsupported value: 'temperature' does not support 0 with this model."
        return self.error(400, message, code="unsupported_value", param="temperature")


class OpenAIReasoning(OpenAI):
    """A model of OpenAI that thinks: it takes `max_completion_tokens` and no sampling parameters."""

    name = "openai-reasoning"
    honours = OpenAI.honours - {"logprobs", "top_logprobs", "seed", "n"}
    refuses = frozenset({"max_tokens", "temperature", "top_p", "logprobs"})

    def refusal(self, member: str, heard: Heard) -> Said:
        if member == "max_tokens":
            message = "Unsupported parameter: 'max_tokens' is not supported with this model. "
            message += "Use 'max_completion_tokens' instead."
            return self.error(400, message, code="unsupported_parameter", param=member)
        message = f"Unsupported parameter: '{member}' is not supported with this model."
        return self.error(400, message, code="unsupported_parameter", param=member)
