"""What is examined: a service by its name in the configuration, or by its bare base URL. Opens no connection."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from llmbatch.cassette.scrub import Scrubber
from llmbatch.client.proxy import Proxy, find_proxy
from llmbatch.config import KNOWN_ENDPOINTS, Config, Endpoint, ModelSettings, ResolvedModel, checked_url, load_config
from llmbatch.errors import ConfigError

SHORTEST_SECRET = 4
"""A key that is shorter is a word like `x`, and taking it out would leave a text that nobody can read."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A service, the model that a call is made to (its name is empty where none is named), and the way to it.

    `origin` says where the base URL was set, `proxy` through what it is reached.
    """

    model: ResolvedModel
    origin: str
    proxy: Proxy | None

    @property
    def endpoint(self) -> Endpoint:
        """The service."""
        return self.model.endpoint

    @property
    def names_model(self) -> bool:
        """Whether it is one model that is examined, and not the service alone."""
        return "/" in self.model.text and "://" not in self.model.text

    @property
    def host(self) -> tuple[str, int]:
        """The host and port that are connected to first: the proxy's where there is one."""
        parts = urlsplit(self.proxy.url if self.proxy else self.endpoint.base_url)
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)

    def shown(self, text: str) -> str:
        """Return a text in which no key stands, whoever said it."""
        key = "" if self.model.key is None else self.model.key.reveal()
        text = Scrubber(secrets=[key]).text(text)
        return text.replace(key, "<secret>") if len(key) >= SHORTEST_SECRET else text


def subject_of(named: str, environ: Mapping[str, str], folder: Path) -> Subject:
    """Return what `NAME`, `NAME/MODEL` or a base URL stands for, by the configuration of the folder.

    Raises ConfigError for a name that is not known and for a URL that is none.
    """
    config = load_config(folder, environ)
    if "://" in named:
        base_url, model, origin = checked_url(named, "the base URL", place="the command line"), "", "the command line"
        same = (each for each in config.endpoints.values() if each.base_url == base_url)
        endpoint = next(same, Endpoint("", base_url))
    else:
        name, _, model = named.partition("/")
        found = config.endpoints.get(name)
        if found is None:
            raise _unknown(config, name)
        endpoint, origin = found, _origin(config, found, environ)
    settings = endpoint.models.get(model) or (
        ModelSettings(model) if model else next(iter(endpoint.models.values()), ModelSettings(""))
    )
    resolved = ResolvedModel(named, endpoint, settings.name, settings, config.keys.get(endpoint.name))
    return Subject(resolved, origin, find_proxy(endpoint.base_url))


def with_model(subject: Subject, name: str) -> Subject:
    """Return the subject with that model in the place of none."""
    return replace(subject, model=replace(subject.model, name=name, settings=ModelSettings(name)))


def _origin(config: Config, endpoint: Endpoint, environ: Mapping[str, str]) -> str:
    known = KNOWN_ENDPOINTS.get(endpoint.name)
    if known is not None and known.base_url == endpoint.base_url:
        return "known"
    if endpoint.name == "openai" and environ.get("OPENAI_BASE_URL", "").rstrip("/") == endpoint.base_url:
        return "OPENAI_BASE_URL"
    return config.source.name if config.source is not None else "known"


def _unknown(config: Config, name: str) -> ConfigError:
    near = difflib.get_close_matches(name, config.endpoints, n=1)
    return ConfigError(
        f"no endpoint is named `{name}`",
        endpoints=", ".join(sorted(config.endpoints)),
        fix=f"write `{near[0]}`" if near else "name one of these, or give its base URL: https://host/v1",
    )
