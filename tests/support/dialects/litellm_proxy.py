"""A LiteLLM proxy: other services' errors in words of its own, codes that are text, models under a provider's prefix.

Facts: docs.litellm.ai, "Exception Mapping" and "Virtual Keys"; BerriAI/litellm#4970 (codes are text), #14144 (budgets
with 400 and 429), #16231 (a content policy), and what its router says of a model that it does not know. With
`drop_params` what a model does not take is dropped without a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.dialects.dialect import Dialect, Said, Scene
from tests.support.dialects.heard import Heard

_GROUP = "Received Model Group=openai/gpt-4o-mini\nAvailable Model Group Fallbacks=None"


class LiteLLMProxy(Dialect):
    """Passes a request on; its model's name has the provider's prefix."""

    name = "litellm"
    model = "openai/gpt-4o-mini"

    def error(self, status: int, message: str, **members: Any) -> Said:
        error = {"message": message, "type": None, "param": None, "code": str(status), **members}
        return Said(status, {"error": error})

    def unauthorized(self) -> Said:
        message = (
            "Authentication Error, Invalid proxy server token passed. Unable to find token in cache or `LiteLLM_Table`"
        )
        return self.error(401, message, type="token_not_found_in_db", param="key")

    def no_model(self, model: str) -> Said:
        message = f"/chat/completions: Invalid model name passed in model={model}. Call `/v1/models` to view models."
        return self.error(400, str({"error": message}), type="None", param="None")

    def dressed(self, document: dict[str, Any], heard: Heard) -> dict[str, Any]:
        for choice in document["choices"]:
            choice["message"].setdefault("tool_calls", None)
            choice["message"].setdefault("function_call", None)
            choice["message"]["provider_specific_fields"] = {"refusal": None}
        return {**document, "model": "gpt-4o-mini", "service_tier": "default"}

    def scenes(self) -> Mapping[str, Scene]:
        return {
            "good": Scene(self.good, columns={"llmbatch_served_model": "gpt-4o-mini"}),
            "thinks": Scene(self._thinks),
            "too long": Scene(self._too_long, "context_length", "ContextWindowExceededError"),
            "policy": Scene(self._policy, "content_filter", "ContentPolicyViolationError"),
            "unsupported": Scene(self._unsupported, "bad_request", "UnsupportedParamsError"),
            "upstream down": Scene(self._upstream_down, "server_error", "APIConnectionError"),
            "upstream late": Scene(self._upstream_late, "server_error", "litellm.Timeout"),
        }

    def endings(self) -> Mapping[str, Scene]:
        return {
            "over budget": Scene(self._over_budget, "quota", "Budget has been exceeded"),
            "over its budget": Scene(self._over_its_budget, "quota", "crossed budget"),
            "unknown model": Scene(lambda heard: self.no_model("gpt-5"), "model_not_found", "Invalid model name"),
        }

    def _over_budget(self, heard: Heard) -> Said:
        message = "Budget has been exceeded! Current cost: 12.0, Max budget: 10.0"
        return self.error(400, message, type="budget_exceeded")

    def _over_its_budget(self, heard: Heard) -> Said:
        return self.error(429, "No deployments available - crossed budget: Exceeded budget for deployment")

    def _thinks(self, heard: Heard) -> Said:
        said = self.good(heard)
        said.document["choices"][0]["message"]["reasoning_content"] = "It says fix."
        return said

    def _too_long(self, heard: Heard) -> Said:
        message = "litellm.ContextWindowExceededError: litellm.BadRequestError: OpenAIException - too many tokens. "
        return self.error(400, message + _GROUP)

    def _policy(self, heard: Heard) -> Said:
        message = "litellm.BadRequestError: litellm.ContentPolicyViolationError: AzureException - it was filtered. "
        fields = {"innererror": {"code": "ResponsibleAIPolicyViolation"}}
        return self.error(400, message + _GROUP, provider_specific_fields=fields)

    def _unsupported(self, heard: Heard) -> Said:
        message = (
            "litellm.UnsupportedParamsError: openai does not support parameters: ['top_k'], for model=gpt-4o-mini."
        )
        return self.error(400, message + " To drop these, set `litellm.drop_params=True`. " + _GROUP)

    def _upstream_down(self, heard: Heard) -> Said:
        return self.error(500, "litellm.APIConnectionError: OpenAIException - Connection error. " + _GROUP)

    def _upstream_late(self, heard: Heard) -> Said:
        return self.error(408, "litellm.Timeout: Timeout Error: OpenAIException - timed out. " + _GROUP)


class LiteLLMWithoutSchemas(LiteLLMProxy):
    """With `drop_params` before a model that knows no schemas: they are dropped, and the answer is words."""

    name = "litellm-drops"
    mode = "json_object"
    honours = LiteLLMProxy.honours - {"json_schema", "logprobs", "top_logprobs", "seed", "n"}
