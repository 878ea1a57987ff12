"""Azure OpenAI by both of its addresses: a path for each deployment with `api-version`, and the newer `/openai/v1`.

Facts: learn.microsoft.com, "Azure OpenAI in Foundry Models" REST reference, API lifecycle (v1) and content filtering.
The bodies of the filter's 400 are those of microsoft/TinyTroupe#85 and browser-use/browser-use#262; a completion that
is filtered has `content_filter_results`, and no content at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.dialects.dialect import Said, Scene
from tests.support.dialects.heard import Heard
from tests.support.dialects.openai_api import OpenAI

_SAFE = {"filtered": False, "severity": "safe"}
_RESULTS = {"hate": _SAFE, "self_harm": _SAFE, "sexual": _SAFE, "violence": _SAFE}
_MANAGED = "The response was filtered due to the prompt triggering Azure OpenAI's content management policy."


class AzureDeployment(OpenAI):
    """The older address: the deployment is part of the path, and `api-version` of the query."""

    name = "azure-deployment"
    base_path = "/openai"
    model_path = "deployments/{model}"
    query = {"api-version": "2024-10-21"}  # noqa: RUF012 - a constant of the class
    key_header = "api-key"
    settings = 'key_header = "api-key"\nquery = { api-version = "2024-10-21" }\nmodel_path = "deployments/{model}"'

    def dressed(self, document: dict[str, Any], heard: Heard) -> dict[str, Any]:
        document = super().dressed(document, heard)
        for choice in document["choices"]:
            choice["content_filter_results"] = {**_RESULTS, "protected_material_code": {"filtered": False}}
        document["prompt_filter_results"] = [{"prompt_index": 0, "content_filter_results": _RESULTS}]
        return document

    def unauthorized(self) -> Said:
        message = "Access denied due to invalid subscription key or wrong API endpoint."
        return Said(401, {"error": {"code": "401", "message": message}})

    def no_model(self, model: str) -> Said:
        message = "The API deployment for this resource does not exist."
        return Said(404, {"error": {"code": "DeploymentNotFound", "message": message}})

    def scenes(self) -> Mapping[str, Scene]:
        return {
            **super().scenes(),
            "prompt blocked": Scene(self._prompt_blocked, "content_filter", "content management policy"),
            "prompt blocked otherwise": Scene(self._prompt_blocked_otherwise, "content_filter", "prompt triggering"),
            "answer blocked": Scene(
                self._answer_blocked, "content_filter", columns={"llmbatch_finish_reason": "content_filter"}
            ),
            "filter was down": Scene(self._filter_was_down),
        }

    def endings(self) -> Mapping[str, Scene]:
        return {
            "no deployment": Scene(lambda heard: self.no_model(""), "model_not_found", "deployment for this resource"),
        }

    def _prompt_blocked(self, heard: Heard) -> Said:
        inner = {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {**_RESULTS, "jailbreak": {"filtered": True, "detected": True}},
        }
        error = {"message": _MANAGED, "type": None, "param": "prompt", "code": "content_filter", "status": 400}
        return Said(400, {"error": {**error, "innererror": inner}})

    def _prompt_blocked_otherwise(self, heard: Heard) -> Said:
        inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_results": {"violence": {"filtered": True}}}
        error = {"inner_error": inner, "code": "content_filter", "message": _MANAGED, "param": "prompt", "type": None}
        return Said(400, {"error": error})

    def _answer_blocked(self, heard: Heard) -> Said:
        said = self.good(heard)
        choice = said.document["choices"][0]
        choice["message"] = {"role": "assistant"}
        choice["finish_reason"] = "content_filter"
        choice["content_filter_results"] = {**_RESULTS, "violence": {"filtered": True, "severity": "high"}}
        return said

    def _filter_was_down(self, heard: Heard) -> Said:
        """The answer is there; that nobody looked at it is an error inside of it."""
        said = self.good(heard)
        error = {"code": "content_filter_error", "message": "The contents are not filtered"}
        said.document["choices"][0]["content_filter_results"] = {"error": error}
        return said


class AzureV1(AzureDeployment):
    """The newer address, as OpenAI's own; the key may still be in a header of its name."""

    name = "azure-v1"
    base_path = "/openai/v1"
    model_path = ""
    query = {}  # noqa: RUF012 - a constant of the class
    settings = 'key_header = "api-key"'
