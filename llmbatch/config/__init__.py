"""Settings: llmbatch.toml or `[tool.llmbatch]`, the services known from the start, and the keys.

Reads one file and the environment mapping it is given; knows no experiment, no cassette and no network.
"""

from __future__ import annotations

from llmbatch.config.addressing import BEARER_HEADER
from llmbatch.config.capabilities import UNKNOWN, Capabilities
from llmbatch.config.reading import checked_url, load_config
from llmbatch.config.resolving import DEFAULT_ENDPOINT, ResolvedModel, resolve_model
from llmbatch.config.timeouts import DEFAULT_TIMEOUTS, Timeouts
from llmbatch.config.values import KNOWN_ENDPOINTS, Config, Durability, Endpoint, ModelSettings, Secret, StructuredMode

__all__ = [
    "BEARER_HEADER",
    "DEFAULT_ENDPOINT",
    "DEFAULT_TIMEOUTS",
    "KNOWN_ENDPOINTS",
    "UNKNOWN",
    "Capabilities",
    "Config",
    "Durability",
    "Endpoint",
    "ModelSettings",
    "ResolvedModel",
    "Secret",
    "StructuredMode",
    "Timeouts",
    "checked_url",
    "load_config",
    "resolve_model",
]
