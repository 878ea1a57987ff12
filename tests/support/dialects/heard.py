"""One request as a scripted service hears it. Knows no service."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import orjson

from llmbatch.config import StructuredMode

_SCRIPT = re.compile(r"\[\[([a-z0-9 _-]+)\]\]")
_WORDS = "The JSON schema of the answer:\n"


class Heard(NamedTuple):
    """A request; `headers` have lower-case names. A request with a script is a question of a test, others probe."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Mapping[str, Any]

    @property
    def text(self) -> str:
        """What the user says last."""
        content = (self.body.get("messages") or [{}])[-1].get("content") or ""
        return content if isinstance(content, str) else orjson.dumps(content).decode()

    @property
    def script(self) -> str | None:
        """The scene that the question asks for: `[[name]]` in its text."""
        found = _SCRIPT.search(self.text)
        return found[1] if found else None

    @property
    def mode(self) -> StructuredMode:
        """How the shape of the answer travels."""
        match (self.body.get("response_format") or {}).get("type"):
            case "json_schema":
                return "json_schema"
            case "json_object":
                return "json_object"
        return "tool" if self.body.get("tools") else "text"

    @property
    def is_in_words(self) -> bool:
        """Whether the question says the schema in words."""
        return _WORDS in self.text

    @property
    def schema(self) -> Mapping[str, Any] | None:
        """The schema that was sent, by whatever way; None where there is none."""
        match self.mode:
            case "json_schema":
                sent = self.body["response_format"].get("json_schema")
                return sent["schema"] if isinstance(sent, dict) and "schema" in sent else None
            case "tool":
                return self.body["tools"][0]["function"]["parameters"]  # type: ignore[no-any-return]
        line = self.text.rpartition(_WORDS)[2].partition("\n")[0]
        return orjson.loads(line) if self.is_in_words else None


def heard(method: str, target: str, headers: Mapping[str, str], payload: bytes) -> Heard:
    """Return a request as it came in; a body that is no JSON object is an empty one."""
    parts = urlsplit(target)
    try:
        body = orjson.loads(payload)
    except orjson.JSONDecodeError:
        body = {}
    named = {name.lower(): value for name, value in headers.items()}
    return Heard(method, parts.path, dict(parse_qsl(parts.query)), named, body if isinstance(body, dict) else {})
