"""The requests whose keys are examined: one that `ask` would send, or the first of each address of a cassette."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from llmbatch.call.key import canonical_body
from llmbatch.call.values import Headers, Request
from llmbatch.cassette.store import Store

JSON = "application/json"
MOST_ADDRESSES = 20
"""How many addresses of a cassette are examined; foreign HTTP may have one a request."""


@dataclass(frozen=True, slots=True)
class Example:
    """A request as a client would make it, and which draw of it is wanted.

    `key_headers` are those that the author has set on the endpoint; `secrets` are values of key variables.
    """

    method: str
    url: str
    headers: Headers
    body: bytes
    repeat: int = 0
    ordinal: int = 0
    key_headers: tuple[str, ...] = ()
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """Return method and address, without the query."""
        return f"{self.method} {self.url.partition('?')[0]}"

    @property
    def key(self) -> bytes:
        """Return the key that the cassette would look up."""
        store = Store(Path(), key_headers=self.key_headers, secrets=self.secrets)
        request = store.request(self.method, self.url, self.headers, self.body)
        return store.call(request, self.repeat, self.ordinal).key

    @property
    def members(self) -> dict[str, Any] | None:
        """Return the members of a body that the key reads as a JSON object; None for any other body."""
        if self.is_multipart or canonical_body(self.body, None) != canonical_body(self.body + b" ", None):
            return None  # not read as JSON: its bytes are the key's
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):  # integers of thousands of digits, or nested deeper than Python goes
            return None
        return value if isinstance(value, dict) else None

    @property
    def is_multipart(self) -> bool:
        """Whether the content type decides how the body is read."""
        return self.headers.get("content-type", ("",))[0].lower().startswith("multipart/")

    def with_members(self, members: Mapping[str, Any], *, indent: int | None = None) -> Example:
        """Return the request with another JSON object as its body."""
        separators = (",", ":") if indent is None else (" ,", " : ")
        text = json.dumps(members, ensure_ascii=False, indent=indent, separators=separators)
        return replace(self, body=text.encode())

    def with_headers(self, **headers: str) -> Example:
        """Return the request with more headers; `_` in their names stands for `-`."""
        more = {name.replace("_", "-"): (value,) for name, value in headers.items()}
        return replace(self, headers={**self.headers, **more})


def examples_of(cassette: Path | None) -> Iterator[Example]:
    """Yield the requests to examine. Raises CassetteDamaged."""
    if cassette is None:
        yield TYPICAL
        return
    seen: set[str] = set()
    with Store(cassette) as store:
        for interaction in store:
            call = interaction.call
            example = _as_sent(call.request, call.repeat, call.ordinal)
            if example.name not in seen:
                seen.add(example.name)
                yield example
            if len(seen) == MOST_ADDRESSES:
                return


def _as_sent(request: Request, repeat: int, ordinal: int) -> Example:
    names = tuple(name for name in request.headers if name != "content-type")
    return Example(request.method, request.url, request.headers, request.body or b"", repeat, ordinal, names)


TYPICAL = Example(
    "POST",
    "https://api.example.com:8443/v1/chat/completions?api-version=2026-01-01",
    {"content-type": (JSON,), "openai-beta": ("assistants=v2",), "x-route": ("blue",)},
    json.dumps(
        {
            "model": "m",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "é"}],
            "response_format": {
                "type": "json_schema",
                "json_schema": {
                    "name": "Verdict",
                    "schema": {
                        "type": "object",
                        "properties": {"why": {"type": "string"}, "category": {"type": "string", "enum": ["a", "b"]}},
                        "required": ["why", "category"],
                        "additionalProperties": False,
                    },
                    "strict": True,
                },
            },
            "temperature": 0.0,
            "top_p": 0.001,
            "max_tokens": 500,
            "seed": 2**70,
        }
    ).encode(),
    key_headers=("x-route",),
)
"""What `ask` sends for a small model class, with every part that a request can have."""
