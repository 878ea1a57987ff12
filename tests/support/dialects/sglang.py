"""SGLang: schemas by a grammar, thoughts in `reasoning_content`, errors without a wrapper and some without JSON.

Facts: docs.sglang.ai, "Structured Outputs", "Tool Parser", "Reasoning Parser"; sgl-project/sglang,
python/sglang/srt/entrypoints/openai/serving_base.py and utils.py (`object: error`, type, code); a request that its
engine gives up ends with `abort`: sgl-project/sglang#6693.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.dialects.dialect import Dialect, Said, Scene
from tests.support.dialects.heard import Heard


class SGLang(Dialect):
    """All modes are honoured; `matched_stop` stands beside the finish reason."""

    name = "sglang"
    model = "meta-llama/Llama-3.1-8B-Instruct"
    honours = Dialect.honours - {"seed"}

    def error(self, status: int, message: str, **members: Any) -> Said:
        kind = {400: "BadRequestError", 404: "NotFoundError"}.get(status, "InternalServerError")
        return Said(status, {"object": "error", "message": message, "type": kind, "param": None, "code": status})

    def dressed(self, document: dict[str, Any], heard: Heard) -> dict[str, Any]:
        for choice in document["choices"]:
            choice["matched_stop"] = 128009
            choice["message"].setdefault("reasoning_content", None)
            choice["message"].setdefault("tool_calls", None)
        document["usage"]["prompt_tokens_details"] = None
        return {**document, "metadata": {"weight_version": "default"}}

    def scenes(self) -> Mapping[str, Scene]:
        return {
            "good": Scene(self.good, columns={"llmbatch_served_model": self.model}),
            "thinks": Scene(self._thinks),
            "too long": Scene(self._too_long, "context_length", "longer than the model's context length"),
            "bad schema": Scene(self._bad_schema, "bad_request", "Failed to compile"),
            "plain words": Scene(self._plain_words, "bad_request", "Invalid request body"),
            "aborted": Scene(self._aborted, "server_error", "abort"),
            "out of memory": Scene(self._out_of_memory, "server_error", "out of memory"),
        }

    def _thinks(self, heard: Heard) -> Said:
        said = self.good(heard)
        said.document["choices"][0]["message"]["reasoning_content"] = "It says fix."
        return said

    def _too_long(self, heard: Heard) -> Said:
        return self.error(400, "The input (9001 tokens) is longer than the model's context length (8192 tokens).")

    def _bad_schema(self, heard: Heard) -> Said:
        return self.error(400, "Failed to compile json grammar: Unsupported key")

    def _plain_words(self, heard: Heard) -> Said:
        return Said(400, b"Invalid request body", "text/plain; charset=utf-8")

    def _aborted(self, heard: Heard) -> Said:
        said = self.good(heard)
        choice = said.document["choices"][0]
        choice["finish_reason"] = "abort"
        choice["message"] = {"role": "assistant", "content": "", "tool_calls": None}
        return said

    def _out_of_memory(self, heard: Heard) -> Said:
        return self.error(500, "Internal server error: CUDA out of memory")
