"""OpenRouter: many providers behind one address, whose errors come inside of a 200, in a choice, or in mid-stream.

Facts: openrouter.ai/docs, "Errors and Debugging" (shape, codes, metadata of providers and of moderation), "Streaming"
(comments, errors after the first token), "Reasoning Tokens" (`reasoning`, `reasoning_details`), "Structured Outputs"
and "Parameters": what a provider does not take is dropped, unless `provider.require_parameters` is set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.dialects.dialect import Dialect, Said, Scene
from tests.support.dialects.heard import Heard


class OpenRouter(Dialect):
    """Its provider here takes schemas, and passes over what it does not know."""

    name = "openrouter"
    model = "meta-llama/llama-3.1-8b-instruct"
    base_path = "/api/v1"
    honours = frozenset({"json_schema", "json_object", "tool", "text", "stream_options"})

    def error(self, status: int, message: str, **members: Any) -> Said:
        return Said(status, {"error": {"message": message, "code": status, **members}, "user_id": "user_1"})

    def no_model(self, model: str) -> Said:
        return self.error(400, f"{model} is not a valid model ID")

    def unauthorized(self) -> Said:
        return self.error(401, "No auth credentials found")

    def dressed(self, document: dict[str, Any], heard: Heard) -> dict[str, Any]:
        for choice in document["choices"]:
            choice["native_finish_reason"] = choice["finish_reason"]
            choice["message"].setdefault("refusal", None)
            choice["message"].setdefault("reasoning", None)
        return {**document, "provider": "Acme"}

    def scenes(self) -> Mapping[str, Scene]:
        return {
            "good": Scene(self.good, columns={"llmbatch_served_model": self.model}),
            "thinks": Scene(self._thinks),
            "error inside": Scene(self._error_inside, "server_error", "Provider returned error (Acme)"),
            "error in a choice": Scene(self._error_in_a_choice, "server_error", "stopped in the middle"),
            "finished by error": Scene(self._finished_by_error, "server_error"),
            "error in a stream": Scene(self._error_in_a_stream, "server_error", "Provider disconnected"),
            "comments": Scene(self._comments),
            "no choices": Scene(self._no_choices, "empty_choices"),
            "provider refuses": Scene(self._provider_refuses, "bad_request", "tokens must be positive"),
            "provider too long": Scene(self._provider_too_long, "context_length", "maximum context length"),
            "moderated": Scene(self._moderated, "content_filter", "was flagged"),
        }

    def endings(self) -> Mapping[str, Scene]:
        return {"no credits": Scene(self._no_credits, "quota", "Insufficient credits")}

    def _no_credits(self, heard: Heard) -> Said:
        return self.error(402, "Insufficient credits. Add more using https://openrouter.ai/settings/credits")

    def _thinks(self, heard: Heard) -> Said:
        said = self.good(heard)
        message = said.document["choices"][0]["message"]
        message["reasoning"] = "It says fix."
        message["reasoning_details"] = [{"type": "reasoning.text", "text": "It says fix.", "index": 0}]
        return said

    def _provider(self, raw: str, code: int) -> dict[str, Any]:
        return {
            "message": "Provider returned error",
            "code": code,
            "metadata": {"raw": raw, "provider_name": "Acme"},
        }

    def _error_inside(self, heard: Heard) -> Said:
        return Said(200, {"error": self._provider("upstream connect error", 502), "user_id": "user_1"})

    def _error_in_a_choice(self, heard: Heard) -> Said:
        said = self.good(heard)
        choice = said.document["choices"][0]
        choice.update(finish_reason="error", error={"code": 502, "message": "it stopped in the middle"})
        choice["message"].update(content='{"reasoning_steps":')
        return said

    def _finished_by_error(self, heard: Heard) -> Said:
        said = self.good(heard)
        said.document["choices"][0]["finish_reason"] = "error"
        return said

    def _error_in_a_stream(self, heard: Heard) -> Said:
        begun = b'data: {"id":"gen-1","choices":[{"index":0,"delta":{"content":"{"},"finish_reason":null}]}\n\n'
        last = b'data: {"id":"gen-1","error":{"code":502,"message":"Provider disconnected"},'
        last += b'"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}\n\n'
        return Said(200, b": OPENROUTER PROCESSING\n\n" + begun + last + b"data: [DONE]\n\n", "text/event-stream")

    def _comments(self, heard: Heard) -> Said:
        """Comments before the first event keep a connection alive."""
        said = self.good(heard._replace(body={**heard.body, "stream": True}))
        return said._replace(document=b": OPENROUTER PROCESSING\n\n" * 3 + said.payload)

    def _no_choices(self, heard: Heard) -> Said:
        """While a provider starts, nothing is generated."""
        said = self.good(heard)
        return said._replace(document={**said.document, "choices": []})

    def _provider_refuses(self, heard: Heard) -> Said:
        return Said(400, {"error": self._provider('{"error":"tokens must be positive"}', 400)})

    def _provider_too_long(self, heard: Heard) -> Said:
        return Said(400, {"error": self._provider("This model's maximum context length is 8192 tokens.", 400)})

    def _moderated(self, heard: Heard) -> Said:
        metadata = {"reasons": ["violence"], "flagged_input": "...", "provider_name": "Acme", "model_slug": self.model}
        message = f"{self.model} requires moderation. Your input was flagged for violence."
        return self.error(403, message, metadata=metadata)
