"""From `endpoint/model` as written to all that is needed to ask that model."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from llmbatch.config.addressing import BEARER_HEADER, MODEL_PLACE
from llmbatch.config.capabilities import UNKNOWN, Capabilities
from llmbatch.config.values import Config, Endpoint, ModelSettings, Secret, StructuredMode
from llmbatch.errors import ConfigError

DEFAULT_ENDPOINT = "openai"


@dataclass(frozen=True)
class ResolvedModel:
    """One model of one endpoint. `name` goes over the wire, `text` is what the author wrote.

    `configured` is False where only the cassette knows the endpoint: it can be replayed and never called.
    `capabilities` are what a probe has found; `is_unprobed` says that one is to be made before the first question.
    """

    text: str
    endpoint: Endpoint
    name: str
    settings: ModelSettings
    key: Secret | None = None
    configured: bool = True
    capabilities: Capabilities = UNKNOWN
    is_unprobed: bool = False

    @property
    def can_call(self) -> bool:
        """Whether a call may be tried: the endpoint is configured and has the key it declares."""
        return self.configured and (self.endpoint.key_env is None or self.key is not None)

    @property
    def qualified(self) -> str:
        """The text with its endpoint, written or not: what prices are recorded by."""
        return self.text if "/" in self.text else f"{self.endpoint.name}/{self.text}"

    @property
    def structured(self) -> StructuredMode | None:
        """How the model gives structured output: as configured, as probed, as declared; None where nothing is known."""
        configured = self.settings.structured or self.endpoint.structured
        if configured is not None:
            return configured
        return self.capabilities.mode(self.endpoint.declared) or self.endpoint.declared

    @property
    def probe_said(self) -> bool | None:
        """Whether the model is to be probed, as the configuration says; None where it does not."""
        return self.endpoint.probe if self.settings.probe is None else self.settings.probe

    @property
    def wants_probe(self) -> bool:
        """Whether the model is to be probed: as the configuration says, else where that does not set the mode."""
        if self.probe_said is not None:
            return self.probe_said
        return self.settings.structured is None and self.endpoint.structured is None

    @property
    def defaults(self) -> Mapping[str, Any]:
        """Request parameters of the endpoint, then those of the model."""
        return {**self.endpoint.defaults, **self.settings.defaults}

    @property
    def base_url(self) -> str:
        """The address below which this model is called: the endpoint's, and the model's own path where it has one."""
        path = self.endpoint.model_path
        if not path:
            return self.endpoint.base_url
        return f"{self.endpoint.base_url}/{path.replace(MODEL_PLACE, quote(self.name, safe=''))}"

    @property
    def chat_url(self) -> str:
        return self.endpoint.with_query(f"{self.base_url}/chat/completions")

    @property
    def embeddings_url(self) -> str:
        return self.endpoint.with_query(f"{self.base_url}/embeddings")

    @property
    def key_headers(self) -> Mapping[str, str]:
        """The headers that are stored with a request; credentials are not among them."""
        return {"content-type": "application/json", **self.endpoint.headers}

    def key_header(self) -> dict[str, str]:
        """Return the header that carries the key, nothing without one. For the wire alone."""
        if self.key is None:
            return {}
        name, key = self.endpoint.key_header, self.key.reveal()
        return {name: f"Bearer {key}" if name == BEARER_HEADER else key}

    def wire_headers(self) -> dict[str, str]:
        """Return all headers to send, the credential included. For the transport alone."""
        return {**self.key_headers, **self.key_header()}


def resolve_model(
    config: Config, text: str, recorded_address: Callable[[str], str | None] = lambda name: None
) -> ResolvedModel:
    """Return the model that `text` names: `endpoint/model`, an endpoint's alias, or a bare OpenAI name.

    `recorded_address` tells the address that a cassette has for an endpoint that is not configured. Raises
    ConfigError listing the endpoints and the nearest of them.
    """
    prefix, slash, rest = text.partition("/")
    if not slash:
        prefix, rest = DEFAULT_ENDPOINT, text
    if not rest.strip() or not prefix.strip():
        raise ConfigError(f"model {text!r} names no model", fix='write "endpoint/model"')
    endpoint = config.endpoints.get(prefix)
    configured = endpoint is not None
    if endpoint is None:
        address = recorded_address(prefix)
        if address is None:
            raise _unknown_endpoint(config, text, prefix)
        endpoint = Endpoint(prefix, address).at(address)
    settings = endpoint.models.get(rest) or ModelSettings(rest)
    return ResolvedModel(text, endpoint, settings.name, settings, config.keys.get(prefix), configured)


def _unknown_endpoint(config: Config, text: str, prefix: str) -> ConfigError:
    near = difflib.get_close_matches(prefix, config.endpoints, n=1)
    rest = text.partition("/")[2]
    fix = f'write "{near[0]}/{rest}", or add' if near else "add"
    file = config.source.name if config.source else "llmbatch.toml"
    return ConfigError(
        f"model {text!r}: no endpoint is named `{prefix}`",
        endpoints=", ".join(sorted(config.endpoints)),
        fix=f"{fix} [endpoints.{prefix}] with a base_url to {file}",
    )
