"""The frozen values of a configuration. Knows no file format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode

from llmbatch.config.addressing import BEARER_HEADER, MODEL_PLACE
from llmbatch.config.timeouts import DEFAULT_TIMEOUTS, Timeouts

StructuredMode = Literal["json_schema", "json_object", "tool", "text"]
"""How the shape of an answer travels: as a strict schema, in words beside JSON mode, as a function that must be called,
or in words alone. The best comes first."""

Durability = Literal["process", "power"]
"""What an answer survives from the moment a task sees it: the death of the process, or a power cut as well."""

DEFAULT_CONCURRENCY = 64
DEFAULT_MAX_RETRIES = 5
DEFAULT_SEGMENT_MB = 45
DEFAULT_ASK_ABOVE_USD = 1.0
MOST_SEGMENT_MB = 10_000


def _empty() -> Mapping[str, Any]:
    return MappingProxyType({})


class Secret:
    """A credential that no repr, str, format or traceback shows. `reveal()` is for the wire alone."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the credential itself."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> Any:
        msg = "a Secret is never written anywhere"
        raise TypeError(msg)


@dataclass(frozen=True)
class ModelSettings:
    """One model of an endpoint. `name` is what goes over the wire; prices are USD per million tokens.

    `concurrency`, `rpm` and `tpm` bound this model, beside what bounds its endpoint. `structured` and `probe` None are
    as of the endpoint.
    """

    name: str
    structured: StructuredMode | None = None
    probe: bool | None = None
    defaults: Mapping[str, Any] = field(default_factory=_empty, hash=False)
    concurrency: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    usd_per_million_in: float | None = None
    usd_per_million_out: float | None = None
    usd_per_million_cached_in: float | None = None


@dataclass(frozen=True)
class Endpoint:
    """A named OpenAI-compatible service.

    `key_env` names the environment variable of its key; None says that it needs none. `headers` are sent with
    every request and are part of its key, so they never hold a credential. `structured` is what the configuration
    sets; None means that a probe decides, and where there is none `declared`, what is known of the service from the
    start. `probe` says whether its models are probed; None: those whose `structured` is not set. `rpm` and `tpm` are
    requests and tokens a minute, of all its models together. `free` says that its calls cost nothing, as those of this
    machine do. `place` says where the base URL was set, for messages.

    The key is sent in `key_header`. `query` is added to every address, and `model_path`, with the model's name in the
    place of `{model}`, stands between the base URL and the call.

    `timeout_seconds` is for one whole reply, the others for a connection, for the first byte and between two bytes.
    """

    name: str
    base_url: str
    key_env: str | None = None
    key_header: str = BEARER_HEADER
    headers: Mapping[str, str] = field(default_factory=_empty, hash=False)
    query: Mapping[str, str] = field(default_factory=_empty, hash=False)
    model_path: str = ""
    timeout_seconds: float = DEFAULT_TIMEOUTS.total
    connect_timeout_seconds: float = DEFAULT_TIMEOUTS.connect
    first_byte_timeout_seconds: float = DEFAULT_TIMEOUTS.first_byte
    idle_timeout_seconds: float = DEFAULT_TIMEOUTS.idle
    structured: StructuredMode | None = None
    declared: StructuredMode | None = None
    probe: bool | None = None
    defaults: Mapping[str, Any] = field(default_factory=_empty, hash=False)
    concurrency: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    models: Mapping[str, ModelSettings] = field(default_factory=_empty, hash=False)
    free: bool = False
    place: str = field(default="built in", compare=False)

    @property
    def address(self) -> str:
        """Where the service is called, as a cassette keeps it: base URL, models' path and query in one text."""
        return self.with_query(f"{self.base_url}/{self.model_path}" if self.model_path else self.base_url)

    def at(self, address: str) -> Endpoint:
        """Return this endpoint at another `address`."""
        path, _, query = address.partition("?")
        before, place, after = path.partition(MODEL_PLACE)
        base_url, _, start = before.rpartition("/") if place else (path, "", "")
        parameters = MappingProxyType(dict(parse_qsl(query, keep_blank_values=True)))
        return replace(self, base_url=base_url, model_path=f"{start}{place}{after}", query=parameters)

    def with_query(self, url: str) -> str:
        """Return an address of this service with the parameters that all have."""
        return f"{url}?{urlencode(self.query)}" if self.query else url

    @cached_property
    def timeouts(self) -> Timeouts:
        """The seconds of each step, with the endpoint's name for messages."""
        return Timeouts(
            connect=self.connect_timeout_seconds,
            first_byte=self.first_byte_timeout_seconds,
            idle=self.idle_timeout_seconds,
            total=self.timeout_seconds,
            place=f"endpoint {self.name}",
        )


KNOWN_ENDPOINTS: Mapping[str, Endpoint] = MappingProxyType(
    {
        known.name: known
        for known in (
            Endpoint("openai", "https://api.openai.com/v1", "OPENAI_API_KEY", declared="json_schema"),
            Endpoint("deepseek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY", declared="json_object"),
            Endpoint("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
            Endpoint("ollama", "http://127.0.0.1:11434/v1", declared="json_schema"),
            Endpoint("vllm", "http://127.0.0.1:8000/v1", declared="json_schema"),
            Endpoint("sglang", "http://127.0.0.1:30000/v1", declared="json_schema"),
            Endpoint("llamacpp", "http://127.0.0.1:8080/v1", declared="json_schema"),
        )
    }
)


@dataclass(frozen=True)
class Config:
    """What a project says about itself.

    `root` is the project root, `source` the file the settings came from (None where there is none), `model`
    the model of tasks that name none. `segment_mb` are the megabytes (of 1,000,000 bytes) of one file of a cassette.
    `allow_hosts` are the hosts (`host`, `host:port`, `*.domain`) that a recording run may connect to past the
    recorder. `budget_usd` is the most that a run may spend (None: no limit); one that would cost more than
    `ask_above_usd` asks at a terminal. `keys` maps the name of an endpoint to its key, where the environment has one.
    `profiles` are the raw tables, by name; `told` are the top-level keys that the file has.
    """

    root: Path
    source: Path | None = None
    endpoints: Mapping[str, Endpoint] = field(default_factory=lambda: KNOWN_ENDPOINTS, hash=False)
    model: str | None = None
    concurrency: int = DEFAULT_CONCURRENCY
    max_retries: int = DEFAULT_MAX_RETRIES
    hedge: bool = True
    segment_mb: int = DEFAULT_SEGMENT_MB
    durability: Durability = "process"
    allow_hosts: tuple[str, ...] = ()
    budget_usd: float | None = None
    ask_above_usd: float = DEFAULT_ASK_ABOVE_USD
    told: frozenset[str] = frozenset()
    profiles: Mapping[str, Mapping[str, Any]] = field(default_factory=_empty, hash=False)
    keys: Mapping[str, Secret] = field(default_factory=_empty, hash=False, repr=False)

    def secrets(self, environ: Mapping[str, str]) -> list[str]:
        """Return the values of all key variables of the configured endpoints, each once, sorted."""
        variables = {endpoint.key_env for endpoint in self.endpoints.values() if endpoint.key_env}
        return sorted({value for variable in variables if (value := environ.get(variable))})
