"""DeepSeek: JSON mode and no schemas, thoughts in `reasoning_content`, its own words for the cache.

Facts: api-docs.deepseek.com, "Create Chat Completion", "JSON Output" (the word json must be in the prompt, and the
answer may be empty), "Reasoning Model", "Context Caching", "Error Codes"; the refusal of a schema as reported in
browser-use/browser-use#215 and, in the newer wording, in many others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.dialects.dialect import Dialect, Said, Scene
from tests.support.dialects.heard import Heard


class DeepSeek(Dialect):
    """A schema is a 400, as are several choices; a seed is passed over."""

    name = "deepseek"
    mode = "json_object"
    honours = frozenset({"json_object", "tool", "text", "logprobs", "top_logprobs", "stream_options"})
    refuses = frozenset({"json_schema"})

    def refusal(self, member: str, heard: Heard) -> Said:
        return self.error(400, "This response_format type is unavailable now", code="invalid_request_error")

    def answer(self, heard: Heard) -> Said:
        if heard.mode == "json_object" and "json" not in heard.text.lower():
            return self.error(400, "Prompt must contain the word 'json' in some form to use 'response_format'.")
        if int(heard.body.get("n") or 1) > 1:
            return self.error(400, "Invalid n value (currently only n = 1 is supported)")
        return super().answer(heard)

    def no_model(self, model: str) -> Said:
        return self.error(400, "Model Not Exist", code="invalid_request_error")

    def dressed(self, document: dict[str, Any], heard: Heard) -> dict[str, Any]:
        usage = document["usage"]
        usage["prompt_cache_hit_tokens"] = 2
        usage["prompt_cache_miss_tokens"] = usage["prompt_tokens"] - 2
        return {**document, "system_fingerprint": "fp_deep"}

    def scenes(self) -> Mapping[str, Scene]:
        return {
            "good": Scene(self.good, columns={"llmbatch_tokens_cached": 2, "llmbatch_fingerprint": "fp_deep"}),
            "thinks": Scene(self._thinks, columns={"llmbatch_tokens_reasoning": 7}),
            "empty": Scene(self._empty, "empty_content", "the answer is empty"),
            "only thinks": Scene(self._only_thinks, "empty_content", "reasoned, and gave no answer"),
            "blank lines": Scene(self._blank_lines),
            "blank to the end": Scene(self._blank_to_the_end, "truncated"),
            "broke off": Scene(self._broke_off, "server_error", "insufficient_system_resource"),
            "risk": Scene(self._risk, "content_filter", "Content Exists Risk"),
        }

    def endings(self) -> Mapping[str, Scene]:
        return {"no balance": Scene(self._no_balance, "quota", "Insufficient Balance")}

    def _no_balance(self, heard: Heard) -> Said:
        return self.error(402, "Insufficient Balance", code="invalid_request_error")

    def _changed(self, heard: Heard, finish_reason: str = "stop", **message: Any) -> Said:
        said = self.good(heard)
        said.document["choices"][0]["message"].update(message)
        said.document["choices"][0]["finish_reason"] = finish_reason
        return said

    def _thinks(self, heard: Heard) -> Said:
        said = self._changed(heard, reasoning_content='First: {"category": "adaptive"}? No.')
        said.document["usage"]["completion_tokens_details"] = {"reasoning_tokens": 7}
        return said

    def _only_thinks(self, heard: Heard) -> Said:
        return self._changed(heard, content="", reasoning_content="It may be this. It may be that.")

    def _empty(self, heard: Heard) -> Said:
        return self._changed(heard, content="")

    def _blank_lines(self, heard: Heard) -> Said:
        """It keeps a connection alive with blank lines until its answer is ready."""
        said = self.good(heard)
        return said._replace(document=b"\n\n\n" + said.payload)

    def _blank_to_the_end(self, heard: Heard) -> Said:
        """JSON mode without a JSON that the model wants to write is white space up to the limit."""
        return self._changed(heard, "length", content=" \n" * 100)

    def _broke_off(self, heard: Heard) -> Said:
        return self._changed(heard, "insufficient_system_resource", content='{"reasoning_steps":')

    def _risk(self, heard: Heard) -> Said:
        return self.error(400, "Content Exists Risk", code="invalid_request_error")
