"""How requests reach a service that is not addressed as OpenAI's is: its key's header, its query, its path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from llmbatch.config.section import Section

BEARER_HEADER = "authorization"
"""The header that a key is sent in as a bearer token; in any other it is sent as it is."""
MODEL_PLACE = "{model}"

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OWN_HEADERS = frozenset({"content-type", "content-length", "host", "accept", "accept-encoding", "user-agent"})
_KEY = r"(.*(api|access|subscription|account|auth|functions)[-_]?)?key"
"""Names that services and the gateways before them give to a key."""
_SECRET_PARAMETERS = re.compile(
    rf"{_KEY}|code|sig|signature|.*token|.*secret.*|.*password.*|x-(amz|goog)-(signature|credential|.*token)",
    re.IGNORECASE,
)
_CREDENTIAL_HEADERS = re.compile(
    rf"{_KEY}|authorization|proxy-authorization|cookie|set-cookie|openai-organization|openai-project|cf-ray|x-amz-.*"
    r"|.*(secret|token|password).*",
    re.IGNORECASE,
)


def is_header_name(name: str) -> bool:
    """Whether a text can be the name of a header (RFC 9110, section 5.1)."""
    return _HEADER_NAME.fullmatch(name) is not None


def take_key_header(section: Section, default: str) -> str:
    """Return the lower-case name of the header that carries the key."""
    name = section.take_text("key_header", default) or default
    if not is_header_name(name) or name.lower() in _OWN_HEADERS:
        section.refuse("key_header", f"is {name!r}, which no key can be sent in", fix='write key_header = "api-key"')
    return name.lower()


def take_headers(section: Section, key_header: str) -> Mapping[str, str]:
    """Return what is sent beside the key, under lower-case names. It is stored, so no part of it is a credential."""
    headers = section.take_table("headers")
    for name, value in headers.items():
        if not isinstance(value, str) or not value.isprintable() or not is_header_name(name):
            section.refuse(f"headers.{name}", "is not a header with one line of text", fix="give a name and a text")
        if _CREDENTIAL_HEADERS.fullmatch(name):
            section.refuse(
                f"headers.{name}",
                "is a credential, and headers are stored in the cassette",
                fix='name its variable, and the header it is sent in: key_env = "MY_KEY", key_header = "api-key"',
            )
        if name.lower() == key_header:
            section.refuse(f"headers.{name}", "is the header that the key is sent in", fix="remove one of the two")
    return MappingProxyType({name.lower(): value for name, value in headers.items()})


def take_query(section: Section) -> Mapping[str, str]:
    """Return what is added to the address of every request. It is stored there, so no part of it is a credential."""
    query = section.take_table("query")
    for name, value in query.items():
        if not isinstance(value, str) or not name:
            section.refuse(f"query.{name}", "is not text", given=repr(value), fix=f'write {name} = "..." in quotes')
        if _SECRET_PARAMETERS.fullmatch(name):
            section.refuse(
                f"query.{name}",
                "is a credential, and addresses are stored in the cassette",
                fix='name its variable, and the header it is sent in: key_env = "MY_KEY", key_header = "api-key"',
            )
    return MappingProxyType(dict(query))


def take_model_path(section: Section) -> str:
    """Return what stands between the base URL and the call, without slashes around it; empty where nothing does."""
    path = (section.take_text("model_path") or "").strip("/")
    if path and (MODEL_PLACE not in path or re.search(r"[?#\s]", path)):
        section.refuse("model_path", f"is {path!r}", fix=f'write model_path = "deployments/{MODEL_PLACE}"')
    return path
