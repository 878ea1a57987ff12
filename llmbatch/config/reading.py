"""From the nearest configuration file and an environment mapping to a checked Config."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast, get_args
from urllib.parse import urlsplit

from llmbatch.config.addressing import take_headers, take_key_header, take_model_path, take_query
from llmbatch.config.section import Section, Source
from llmbatch.config.values import (
    DEFAULT_ASK_ABOVE_USD,
    DEFAULT_CONCURRENCY,
    DEFAULT_MAX_RETRIES,
    DEFAULT_SEGMENT_MB,
    KNOWN_ENDPOINTS,
    MOST_SEGMENT_MB,
    Config,
    Durability,
    Endpoint,
    ModelSettings,
    Secret,
    StructuredMode,
)
from llmbatch.errors import ConfigError

OWN_FILE, SHARED_FILE = "llmbatch.toml", "pyproject.toml"
_CALLS = ("/chat/completions", "/completions", "/responses", "/embeddings")
_OWN_PARAMETERS = ("model", "messages")


def load_config(start: Path, environ: Mapping[str, str]) -> Config:
    """Return the settings of the project that `start` (a file or folder) is in.

    The project root is the nearest folder upwards with an llmbatch.toml or a pyproject.toml; without one it
    is the folder of `start`. Raises ConfigError naming the file, the key and the nearest known name.
    """
    folder = start.resolve()
    folder = folder if folder.is_dir() else folder.parent
    root = next((near for near in (folder, *folder.parents) if _has_settings(near)), None)
    if root is None:
        return _with_keys(Config(folder, endpoints=_endpoints({}, environ)), environ, None)
    path = root / OWN_FILE if (root / OWN_FILE).is_file() else root / SHARED_FILE
    source, document = _read(path)
    if path.name == OWN_FILE:
        return _config(root, Section(document, source), environ)
    tools = Section(document, source).take_table("tool")
    if "llmbatch" not in tools:
        return _with_keys(Config(root, endpoints=_endpoints({}, environ)), environ, None)
    return _config(root, Section(Section(tools, source, ("tool",)).take_table("llmbatch"), source), environ)


def _has_settings(folder: Path) -> bool:
    return (folder / OWN_FILE).is_file() or (folder / SHARED_FILE).is_file()


def _read(path: Path) -> tuple[Source, Mapping[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        return Source(path, text), tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        place = f"{path}:{line[1]}" if line else str(path)
        raise ConfigError(f"not TOML: {error}", place=place, fix="correct the line") from error
    except UnicodeDecodeError as error:
        raise ConfigError("not UTF-8 text", place=str(path), fix="save the file as UTF-8") from error


def _config(root: Path, section: Section, environ: Mapping[str, str]) -> Config:
    model = section.take_text("model")
    concurrency = section.take_count("concurrency", DEFAULT_CONCURRENCY)
    max_retries = section.take_count("max_retries", DEFAULT_MAX_RETRIES, least=0)
    hedge = section.take_flag("hedge", True)
    segment_mb = section.take_count("segment_mb", DEFAULT_SEGMENT_MB)
    durability = section.take_text("durability", "process", choices=get_args(Durability))
    allow_hosts = _hosts(section)
    budget_usd = section.take_number("budget_usd")
    ask_above_usd = section.take_number("ask_above_usd", DEFAULT_ASK_ABOVE_USD, positive=False)
    declared = dict(section.sections("endpoints"))
    profiles = {name: profile.values for name, profile in section.sections("profiles")}
    section.close()
    assert concurrency is not None
    assert max_retries is not None
    assert segment_mb is not None
    assert ask_above_usd is not None
    if segment_mb > MOST_SEGMENT_MB:
        section.refuse("segment_mb", f"is {segment_mb}", fix=f"give a whole number from 1 to {MOST_SEGMENT_MB}")
    config = Config(
        root=root,
        source=section.source.path,
        endpoints=_endpoints(declared, environ),
        model=model,
        concurrency=concurrency,
        max_retries=max_retries,
        hedge=hedge,
        segment_mb=segment_mb,
        durability=cast("Durability", durability),
        allow_hosts=allow_hosts,
        budget_usd=budget_usd,
        ask_above_usd=ask_above_usd,
        told=frozenset(section.values),
        profiles=MappingProxyType(profiles),
    )
    return _with_keys(config, environ, section.source)


def _hosts(section: Section) -> tuple[str, ...]:
    """Return the patterns of `allow_hosts`: a host, or a host and a port."""
    hosts = section.take_texts("allow_hosts")
    for host in hosts:
        if not re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^\s:/@\[\]]+)(:\d{1,5})?|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*", host):
            section.refuse("allow_hosts", f"has {host!r}", fix='write hosts: ["db.example:5432", "*.internal"]')
    return hosts


def _endpoints(declared: Mapping[str, Section], environ: Mapping[str, str]) -> Mapping[str, Endpoint]:
    """Return the known endpoints, with what the environment and then the file says of them, and new ones."""
    endpoints = dict(KNOWN_ENDPOINTS)
    if environ.get("OPENAI_BASE_URL"):
        base_url = _base_url(environ["OPENAI_BASE_URL"], "OPENAI_BASE_URL", place="the environment")
        endpoints["openai"] = replace(endpoints["openai"], base_url=base_url, place="OPENAI_BASE_URL")
    for name, section in declared.items():
        endpoints[name] = _endpoint(name, section, endpoints.get(name))
    return MappingProxyType(endpoints)


def _endpoint(name: str, section: Section, known: Endpoint | None) -> Endpoint:
    if not name or "/" in name:
        section.refuse("", f"has the name {name!r}", fix="name the endpoint by one word without `/`")
    base_url = section.take_text("base_url", known.base_url if known else None)
    if base_url is None:
        near = difflib.get_close_matches(name, KNOWN_ENDPOINTS, n=1)
        meant = f", or write [endpoints.{near[0]}], which is known" if near else ""
        section.refuse("base_url", "is missing", fix=f'add base_url = "https://host/v1"{meant}')
    key_path = ".".join((*section.path, "base_url"))
    start = _with_timeouts(section, known or Endpoint(name, base_url))
    place = section.source.place((*section.path, "base_url")) if "base_url" in section.values else start.place
    key_header = take_key_header(section, start.key_header)
    endpoint = replace(
        start,
        base_url=_base_url(base_url, key_path, place=place),
        place=place,
        key_env=section.take_text("key_env", start.key_env) or None,
        key_header=key_header,
        headers=take_headers(section, key_header),
        query=take_query(section),
        model_path=take_model_path(section),
        structured=_structured(section),
        probe=section.take_flag_or_none("probe"),
        defaults=_defaults(section),
        concurrency=section.take_limit("concurrency"),
        rpm=section.take_limit("rpm"),
        tpm=section.take_limit("tpm"),
        free=section.take_flag("free"),
        models=MappingProxyType({alias: _model(alias, inner) for alias, inner in section.sections("models")}),
    )
    section.close()
    return endpoint


def _with_timeouts(section: Section, start: Endpoint) -> Endpoint:
    """Return the endpoint with its time-outs. A time for all of a reply, given alone, is for its first byte too."""
    whole = section.take_number("timeout_seconds")
    first_byte = section.take_number("first_byte_timeout_seconds")
    return replace(
        start,
        timeout_seconds=whole or start.timeout_seconds,
        connect_timeout_seconds=section.take_number("connect_timeout_seconds") or start.connect_timeout_seconds,
        first_byte_timeout_seconds=first_byte or whole or start.first_byte_timeout_seconds,
        idle_timeout_seconds=section.take_number("idle_timeout_seconds") or start.idle_timeout_seconds,
    )


def _model(alias: str, section: Section) -> ModelSettings:
    settings = ModelSettings(
        name=section.take_text("name", alias) or alias,
        structured=_structured(section),
        probe=section.take_flag_or_none("probe"),
        defaults=_defaults(section),
        concurrency=section.take_limit("concurrency"),
        rpm=section.take_limit("rpm"),
        tpm=section.take_limit("tpm"),
        usd_per_million_in=section.take_number("usd_per_million_in", positive=False),
        usd_per_million_out=section.take_number("usd_per_million_out", positive=False),
        usd_per_million_cached_in=section.take_number("usd_per_million_cached_in", positive=False),
    )
    section.close()
    return settings


def _structured(section: Section) -> StructuredMode | None:
    return cast("StructuredMode | None", section.take_text("structured", choices=get_args(StructuredMode)))


def _defaults(section: Section) -> Mapping[str, Any]:
    defaults = section.take_table("defaults")
    for name in _OWN_PARAMETERS:
        if name in defaults:
            section.refuse(f"defaults.{name}", "is not a default: every request has its own", fix="remove it")
    return MappingProxyType(dict(defaults))


def checked_url(text: str, key_path: str, *, place: str) -> str:
    """Return a base URL without a slash at its end. Raises ConfigError for one that is none, or holds more."""
    try:
        parts = urlsplit(text)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise ConfigError(
            f"{key_path} is no http or https URL",
            place=place,
            given=repr(text),
            fix='write "https://host/v1"',
        )
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            f"{key_path} holds a user or password",
            place=place,
            fix="remove what is before the @; use key_env",
        )
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise ConfigError(
            f"{key_path} has a query or fragment",
            place=place,
            fix="cut the URL before the ? or #; `query` adds parameters",
        )
    return text.rstrip("/")


def _base_url(text: str, key_path: str, *, place: str) -> str:
    """Return a checked URL that is not the address of one call, as one finds it in the examples of services."""
    url = checked_url(text, key_path, place=place)
    if url.endswith(_CALLS):
        raise ConfigError(
            f"{key_path} is the address of one call", place=place, given=repr(text), fix="cut it after /v1"
        )
    return url


def _with_keys(config: Config, environ: Mapping[str, str], source: Source | None) -> Config:
    """Add the keys the environment has. Raises ConfigError where a header holds one of them."""
    keys = {
        name: Secret(value)
        for name, endpoint in config.endpoints.items()
        if endpoint.key_env and (value := environ.get(endpoint.key_env, ""))
    }
    for endpoint in config.endpoints.values():
        for table, settings in (("headers", endpoint.headers), ("query", endpoint.query)):
            for name, value in settings.items():
                if any(len(key.reveal()) >= 8 and key.reveal() in value for key in keys.values()):
                    raise ConfigError(
                        f"endpoints.{endpoint.name}.{table}.{name} holds the value of a key variable",
                        place=str(source.path) if source else None,
                        fix=f"remove it: the key is sent in `{endpoint.key_header}`; key_header names another",
                    )
    return replace(config, keys=MappingProxyType(keys))
