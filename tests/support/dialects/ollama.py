"""Ollama by its OpenAI path: schemas become its own `format`, thoughts are in `reasoning`, what it does not know it
drops.

Facts: ollama/ollama, openai/openai.go (members of the request and of the reply, types of errors: there is no
`tool_choice`, `n` or `logprobs`) and docs/api/openai-compatibility.mdx; a model that only thinks:
ollama/ollama#15288. A prompt longer than its context is cut without a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.dialects.dialect import Dialect, Said, Scene
from tests.support.dialects.heard import Heard


class Ollama(Dialect):
    """No key is looked at; a function is offered and not forced, so that a model may answer in words."""

    name = "ollama"
    model = "qwen3:8b"
    honours = frozenset({"json_schema", "json_object", "text", "seed", "stream_options"})

    def error(self, status: int, message: str, **members: Any) -> Said:
        kind = {400: "invalid_request_error", 404: "not_found_error"}.get(status, "api_error")
        return Said(status, {"error": {"message": message, "type": kind, "param": None, "code": None}})

    def no_model(self, model: str) -> Said:
        return self.error(404, f"model '{model}' not found")

    def dressed(self, document: dict[str, Any], heard: Heard) -> dict[str, Any]:
        for choice in document["choices"]:
            choice.pop("logprobs")
        return {**document, "system_fingerprint": "fp_ollama"}

    def scenes(self) -> Mapping[str, Scene]:
        return {
            "good": Scene(self.good, columns={"llmbatch_fingerprint": "fp_ollama"}),
            "thinks": Scene(self._thinks),
            "only thinks": Scene(self._only_thinks, "empty_content", "reasoned, and gave no answer"),
            "in the text": Scene(self._in_the_text),
            "crashed": Scene(self._crashed, "server_error", "llama runner process has terminated"),
            "native error": Scene(self._native_error, "server_error", "model requires more system memory"),
            "wrong field": Scene(self._wrong_field, "bad_request", "invalid message format"),
        }

    def endings(self) -> Mapping[str, Scene]:
        return {"not pulled": Scene(lambda heard: self.no_model(self.model), "model_not_found", "not found")}

    def _changed(self, heard: Heard, **message: Any) -> Said:
        said = self.good(heard)
        said.document["choices"][0]["message"].update(message)
        return said

    def _thinks(self, heard: Heard) -> Said:
        return self._changed(heard, reasoning="The message says fix, so it may be {corrective}.")

    def _only_thinks(self, heard: Heard) -> Said:
        return self._changed(heard, content="", reasoning="The message says fix.")

    def _in_the_text(self, heard: Heard) -> Said:
        """A model whose template Ollama does not know thinks in its text (ollama/ollama#9137)."""
        said = self.good(heard)
        message = said.document["choices"][0]["message"]
        message["content"] = f'<think>\nIs it {{"category": "adaptive"}}?\n</think>\n\n{message["content"]}'
        return said

    def _crashed(self, heard: Heard) -> Said:
        return self.error(500, "llama runner process has terminated: exit status 2")

    def _native_error(self, heard: Heard) -> Said:
        return Said(500, {"error": "model requires more system memory (9.9 GiB) than is available (7.1 GiB)"})

    def _wrong_field(self, heard: Heard) -> Said:
        return self.error(400, "invalid message format")
