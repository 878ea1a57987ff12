"""llama.cpp's server: schemas by a grammar, JSON mode accepted and not enforced, codes that are numbers.

Facts: ggml-org/llama.cpp, tools/server/README.md; a prompt that is too long: #15780, and the same while it answers:
#19774; a function that is forced by its name is passed over: #26535. What a real server answered is in
docs/services.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.dialects.dialect import Dialect, Said, Scene
from tests.support.dialects.heard import Heard
from tests.support.dialects.model import document_of


class LlamaCpp(Dialect):
    """No key unless it was started with one; any model's name is taken."""

    name = "llama.cpp"
    honours = Dialect.honours - {"json_object"}

    def error(self, status: int, message: str, **members: Any) -> Said:
        kind = {400: "invalid_request_error", 401: "authentication_error"}.get(status, "server_error")
        return Said(status, {"error": {"code": status, "message": message, "type": kind, **members}})

    def unauthorized(self) -> Said:
        return self.error(401, "Invalid API Key")

    def answer(self, heard: Heard) -> Said:
        return self.played(heard)

    def good(self, heard: Heard) -> Said:
        choice = heard.body.get("tool_choice")
        if heard.mode == "tool" and not isinstance(choice, str):  # another form than text counts as `auto`
            return Said(200, self.dressed(document_of(heard, self.honours - {"tool"}), heard))
        return super().good(heard)

    def dressed(self, document: dict[str, Any], heard: Heard) -> dict[str, Any]:
        for choice in document["choices"]:
            choice["message"]["content"] = choice["message"]["content"] or ""
        timings = {"prompt_n": 9, "predicted_n": 7, "predicted_per_second": 21.5}
        return {**document, "system_fingerprint": "b0-unknown", "timings": timings}

    def scenes(self) -> Mapping[str, Scene]:
        return {
            "good": Scene(self.good, columns={"llmbatch_fingerprint": "b0-unknown"}),
            "fenced": Scene(self._fenced),
            "hidden fence": Scene(self._hidden_fence),
            "too long": Scene(self._too_long, "context_length", "exceeds the available context size"),
            "full": Scene(self._full, "context_length", "Context size has been exceeded"),
            "bad schema": Scene(self._bad_schema, "bad_request", "JSON schema error"),
            "loading": Scene(self._loading, "server_error", "Loading model"),
        }

    def _fenced(self, heard: Heard) -> Said:
        """JSON mode that is not enforced: a small model writes its answer into a code fence."""
        said = self.good(heard)
        message = said.document["choices"][0]["message"]
        if message["content"]:
            message["content"] = f"Sure!\n```json\n{message['content']}\n```\nIs there anything else?"
        return said

    def _hidden_fence(self, heard: Heard) -> Said:
        """Under a schema a model's code fence is counted and among the log-probabilities, and not in the text."""
        said = self.good(heard)
        said.document["usage"]["completion_tokens"] += 5
        return said

    def _too_long(self, heard: Heard) -> Said:
        message = "request (4390 tokens) exceeds the available context size (4096 tokens), try increasing it"
        error = {"code": 400, "message": message, "type": "exceed_context_size_error"}
        return Said(400, {"error": {**error, "n_prompt_tokens": 4390, "n_ctx": 4096}})

    def _full(self, heard: Heard) -> Said:
        return self.error(500, "Context size has been exceeded.")

    def _bad_schema(self, heard: Heard) -> Said:
        message = (
            "Unable to generate parser for this template. Automatic parser generation failed: JSON schema error at #: "
        )
        return self.error(400, message + "unrecognized type nonsense")

    def _loading(self, heard: Heard) -> Said:
        error = {"code": 503, "message": "Loading model", "type": "unavailable_error"}
        return Said(503, {"error": error})


class LlamaCppUnforced(LlamaCpp):
    """A model whose way to write a call the server does not know: it writes one into its text, and goes on talking.

    As build 2026.10.11549 of xllamacpp did with Qwen2.5-Coder 0.5B.
    """

    name = "llama.cpp-unforced"
    honours = LlamaCpp.honours - {"tool"}
    tells = LlamaCpp.tells | {"tool"}

    def good(self, heard: Heard) -> Said:
        if heard.mode != "tool":
            return super().good(heard)
        document = document_of(heard, LlamaCpp.honours)
        (call,) = document["choices"][0]["message"].pop("tool_calls")
        spelled = f'{{"name": "clean up", "arguments": {call["function"]["arguments"]}}}. This commit is'
        document["choices"][0]["message"]["content"] = spelled
        document["choices"][0]["finish_reason"] = "length"
        return Said(200, self.dressed(document, heard))


class LlamaCppWithoutTools(LlamaCpp):
    """A model whose chat template knows no tools: they are dropped, forced or not, and not counted either."""

    name = "llama.cpp-no-tools"
    honours = LlamaCpp.honours - {"tool"}
