"""Which service each case asks: models resolved once a run, and the ready clients for those who want the SDK."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmbatch.config import KNOWN_ENDPOINTS, Config, ResolvedModel, resolve_model
from llmbatch.errors import TaskError
from llmbatch.plan import Case, Plan

if TYPE_CHECKING:
    import openai


class Models:
    """Resolves `endpoint/model` texts, each once.

    `recorded_base_url` tells the base URL that the cassette has for an endpoint which is not configured, and
    `recorded_name` what an `endpoint/alias` was called on the wire. `offline`, an endpoint that is known from the start
    and not configured otherwise has its recorded base URL as well, and so has an alias that is not configured its name.
    `informed` adds what is known of what the model can do.
    """

    def __init__(
        self,
        config: Config,
        recorded_base_url: Callable[[str], str | None] = lambda name: None,
        recorded_name: Callable[[str], str | None] = lambda text: None,
        *,
        offline: bool = False,
        informed: Callable[[ResolvedModel], ResolvedModel] = lambda model: model,
    ) -> None:
        self._config = config
        self._informed = informed
        self._recorded_base_url = recorded_base_url
        self._recorded_name = recorded_name
        self._offline = offline
        self._resolved: dict[str, ResolvedModel] = {}

    def resolve(self, text: str) -> ResolvedModel:
        """Return the model that a text names. Raises ConfigError listing the endpoints."""
        known = self._resolved.get(text)
        if known is None:
            resolved = self._as_recorded(resolve_model(self._config, text, self._recorded_base_url))
            known = self._resolved[text] = self._informed(resolved)
        return known

    def forget_unprobed(self) -> None:
        """Resolve anew, when they are next asked for, the models that were still to be probed."""
        self._resolved = {text: model for text, model in self._resolved.items() if not model.is_unprobed}

    def _as_recorded(self, model: ResolvedModel) -> ResolvedModel:
        if model.configured and not self._offline:
            return model
        endpoint = model.endpoint
        if endpoint == KNOWN_ENDPOINTS.get(endpoint.name):
            recorded = self._recorded_base_url(endpoint.name)
            model = replace(model, endpoint=endpoint.at(recorded)) if recorded else model
        if model.qualified.partition("/")[2] in endpoint.models:
            return model
        return replace(model, name=self._recorded_name(model.qualified) or model.name)

    def of_case(self, case: Case) -> ResolvedModel | None:
        """Return the model of a case: its variant's, else the configuration's; None where neither says."""
        text = case.variant.model or self._config.model
        return None if text is None else self.resolve(text)

    def default(self) -> ResolvedModel | None:
        """Return the configuration's model, which fixtures ask; None where it has none."""
        return None if self._config.model is None else self.resolve(self._config.model)

    def of_plan(self, plan: Plan) -> dict[str, ResolvedModel]:
        """Return the models of all variants by their text, so that a mistake shows before anything is asked."""
        found: dict[str, ResolvedModel] = {}
        for task in plan.with_sources():
            for variant in task.variants:
                text = variant.model or self._config.model
                if text is not None:
                    found[text] = self.resolve(text)
        if plan.has_asking_fixtures and self._config.model is not None:
            found.setdefault(self._config.model, self.resolve(self._config.model))
        return found


class Clients:
    """Builds one `openai.AsyncOpenAI` for each model's endpoint when a task first takes `client`."""

    def __init__(self, build: Callable[[ResolvedModel], openai.AsyncOpenAI]) -> None:
        self._build = build
        self._clients: dict[tuple[str, str], openai.AsyncOpenAI] = {}

    def of(self, model: ResolvedModel | None) -> Any:
        """Return the client of the model's endpoint. Raises ConfigError where a case has no model."""
        if model is None:
            raise no_model("client")
        place = model.endpoint.name, model.base_url  # the models of some services have a path each
        client = self._clients.get(place)
        if client is None:
            client = self._clients[place] = self._build(model)
        return client

    async def close(self) -> None:
        """Close the connections of all clients."""
        for client in self._clients.values():
            await client.close()


def no_model(what: str) -> TaskError:
    """Return the error of a task that asks without a model."""
    return TaskError(
        f"a task takes `{what}`, and no model says which endpoint it is for",
        fix='add @parametrize("model", ["endpoint/name"]), or `model = "endpoint/name"` to the configuration',
    )
