"""Whom a recorded request went to: the endpoint and the model. Pure."""

from __future__ import annotations

import re

import orjson

from llmbatch.cassette.segment import Metadata

_ORIGIN = re.compile(r"[^/?#]*//[^/?#]*")
_SAME_FOR_ALL_CALLS = re.compile(r"\{model\}|\?")
"""What ends the part of an endpoint's address that the addresses of all its calls begin with."""
_MODEL = re.compile(rb'"model"\s*:\s*("(?:[^"\\]|\\.)*")')


def endpoint_of(url: str, metadata: Metadata) -> tuple[str, str]:
    """Return the name and the base URL that a request went to; no name, and scheme and host, where none fits.

    Of several base URLs that an address lies below the longest counts.
    """
    within = [
        (base_url, name)
        for name, base_url in metadata.endpoints.items()
        if f"{url}/".startswith(_SAME_FOR_ALL_CALLS.split(base_url, maxsplit=1)[0].rstrip("/") + "/")
    ]
    if within:
        base_url, name = max(within, key=lambda pair: len(pair[0]))
        return name, base_url
    origin = _ORIGIN.match(url)  # a stranger's address may be none that urlsplit takes
    return "", origin[0] if origin else url


def model_of(body: bytes | None) -> str | None:
    """Return the member `model` of a JSON body; of a stream, of its first event that has one."""
    try:
        document = orjson.loads(body or b"")
    except ValueError:
        found = _MODEL.search(body or b"")
        return _text(found[1]) if found else None
    model = document.get("model") if isinstance(document, dict) else None
    return model if isinstance(model, str) else None


def _text(json: bytes) -> str | None:
    try:
        return str(orjson.loads(json))
    except ValueError:  # an escape that is none, or no UTF-8
        return None
