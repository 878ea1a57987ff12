"""vLLM: schemas by guided decoding, thoughts in `reasoning_content` or (since 0.11) `reasoning`, errors in two forms.

Facts: docs.vllm.ai, "Structured Outputs", "Tool Calling" (`required` since 0.8.3) and "Reasoning Outputs"; errors
without a wrapper: vllm-project/vllm#12886, with one since 0.10.1: vllm-project/vllm#22099; an engine that gives up
says `abort` in a reply that looks whole: vllm-project/vllm#57082.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.dialects.dialect import Dialect, Said, Scene
from tests.support.dialects.heard import Heard

_TOO_LONG = "This model's maximum context length is 2048 tokens. However, you requested 2723 tokens. Please reduce it."


class VLLM(Dialect):
    """All modes are honoured; beside the finish reason stands `stop_reason`, and each answer has a list of calls."""

    name = "vllm"
    model = "Qwen/Qwen2.5-7B-Instruct"

    def no_model(self, model: str) -> Said:
        error = {"message": f"The model `{model}` does not exist.", "type": "NotFoundError", "param": None, "code": 404}
        return Said(404, {"error": error})

    def dressed(self, document: dict[str, Any], heard: Heard) -> dict[str, Any]:
        for choice in document["choices"]:
            choice["stop_reason"] = None
            for name in ("refusal", "annotations", "audio", "function_call", "reasoning", "reasoning_content"):
                choice["message"].setdefault(name, None)
            choice["message"].setdefault("tool_calls", [])
        return {**document, "service_tier": None, "system_fingerprint": None, "prompt_logprobs": None}

    def scenes(self) -> Mapping[str, Scene]:
        return {
            "good": Scene(self.good, columns={"llmbatch_served_model": self.model}),
            "thinks": Scene(self._thinks),
            "thinks newly": Scene(self._thinks_newly),
            "only thinks": Scene(self._only_thinks, "empty_content", "reasoned, and gave no answer"),
            "stopped": Scene(self._stopped),
            "too long": Scene(self._too_long, "context_length", "maximum context length"),
            "too long before": Scene(self._too_long_before, "context_length", "maximum context length"),
            "bad grammar": Scene(self._bad_grammar, "bad_request", "Grammar error"),
            "aborted": Scene(self._aborted, "server_error", "abort"),
            "engine dead": Scene(self._engine_dead, "server_error", "EngineCore encountered an issue"),
        }

    def _changed(self, heard: Heard, finish_reason: str | None = None, **message: Any) -> Said:
        said = self.good(heard)
        choice = said.document["choices"][0]
        choice["message"].update(message)
        choice["finish_reason"] = finish_reason or choice["finish_reason"]
        return said

    def _thinks(self, heard: Heard) -> Said:
        return self._changed(heard, reasoning_content="It says fix.")

    def _thinks_newly(self, heard: Heard) -> Said:
        return self._changed(heard, reasoning="It says fix.")

    def _only_thinks(self, heard: Heard) -> Said:
        return self._changed(heard, "stop", content=None, tool_calls=[], reasoning="It says fix.")

    def _stopped(self, heard: Heard) -> Said:
        """A stop token's number stands where OpenAI has nothing."""
        said = self._changed(heard, "stop")
        said.document["choices"][0]["stop_reason"] = 128008
        return said

    def _too_long(self, heard: Heard) -> Said:
        error = {"message": _TOO_LONG, "type": "BadRequestError", "param": None, "code": 400}
        return Said(400, {"error": error})

    def _too_long_before(self, heard: Heard) -> Said:
        error = {"message": _TOO_LONG, "type": "BadRequestError", "param": None, "code": 400}
        return Said(400, {"object": "error", **error})

    def _bad_grammar(self, heard: Heard) -> Said:
        error = {"message": "Grammar error: unimplemented keys", "type": "BadRequestError", "param": None, "code": 400}
        return Said(400, {"object": "error", **error})

    def _aborted(self, heard: Heard) -> Said:
        return self._changed(heard, "abort", content='{"reasoning_steps":["It', tool_calls=[])

    def _engine_dead(self, heard: Heard) -> Said:
        message = "EngineCore encountered an issue. See stack trace (above) for the root cause."
        error = {"message": message, "type": "InternalServerError", "param": None, "code": 500}
        return Said(500, {"error": error})
