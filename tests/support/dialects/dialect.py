"""What a scripted service is: where it is, what it takes, what it refuses, and the scenes that it can play."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import orjson

from llmbatch.config import StructuredMode
from tests.support.dialects.heard import Heard
from tests.support.dialects.model import document_of, events_of

KEY = "key-of-the-scripted-service"
MODEL = "model-1"


class Said(NamedTuple):
    """A reply: a document that is sent as JSON, or bytes."""

    status: int
    document: Any
    content_type: str = "application/json"

    @property
    def payload(self) -> bytes:
        return self.document if isinstance(self.document, bytes) else orjson.dumps(self.document)


class Scene(NamedTuple):
    """A scripted reply and what the row of its sample says: its status, a part of the error, other columns."""

    plays: Callable[[Heard], Said]
    status: str = "ok"
    error: str = ""
    columns: Mapping[str, Any] = {}


class Dialect:
    """One service. A subclass says what is its own; a request that it would refuse is answered as it does.

    `mode` is the best that it honours. `honours` are the modes and members of a request that it follows, `refuses`
    those that it answers with an error; all others it passes over without a word. A test's question in another mode
    than the test expects, and one with what the service refuses or passes over in silence, is a complaint.
    """

    name: ClassVar[str]
    mode: ClassVar[StructuredMode] = "json_schema"
    model: ClassVar[str] = MODEL
    base_path: ClassVar[str] = "/v1"
    model_path: ClassVar[str] = ""
    query: ClassVar[Mapping[str, str]] = {}
    key_header: ClassVar[str | None] = "authorization"
    honours: ClassVar[frozenset[str]] = frozenset(
        {"json_schema", "json_object", "tool", "text", "n", "seed", "logprobs", "top_logprobs", "stream_options"}
    )
    tells: ClassVar[frozenset[str]] = frozenset({"json_object", "text"})
    """The modes in which the model hears of the shape, so that it may keep to it where nothing makes it do so."""
    refuses: ClassVar[frozenset[str]] = frozenset()
    settings: ClassVar[str] = ""
    """More lines of the endpoint's configuration."""

    def configuration(self, address: str, mode: StructuredMode | None) -> str:
        """Return the settings of the endpoint `service` as a user writes them."""
        lines = [f'base_url = "{address}{self.base_path}"', 'key_env = "LLMBATCH_TEST_KEY"', self.settings]
        if mode is not None:
            lines.append(f'structured = "{mode}"')
        return "[endpoints.service]\n" + "\n".join(lines) + "\n"

    def path(self) -> str:
        """Return the path that a call has."""
        between = self.model_path.replace("{model}", self.model)
        return f"{self.base_path}/{between}/chat/completions" if between else f"{self.base_path}/chat/completions"

    def key_value(self) -> str:
        """Return what the header of the key says."""
        return f"Bearer {KEY}" if self.key_header == "authorization" else KEY

    def scenes(self) -> Mapping[str, Scene]:
        """Return the scenes by the name that a question gives in brackets."""
        return {}

    def endings(self) -> Mapping[str, Scene]:
        """Return the scenes that end a run, since no further question can be answered."""
        return {}

    def error(self, status: int, message: str, **members: Any) -> Said:
        """Return an error as the service words it."""
        return Said(status, {"error": {"message": message, "type": "invalid_request_error", "param": None, **members}})

    def unauthorized(self) -> Said:
        return self.error(401, "Incorrect API key provided.", code="invalid_api_key")

    def no_model(self, model: str) -> Said:
        return self.error(404, f"The model `{model}` does not exist.", code="model_not_found")

    def refusal(self, member: str, heard: Heard) -> Said:
        """Return the answer to a member or a mode that the service refuses."""
        return self.error(400, f"Unsupported parameter: '{member}' is not supported.", param=member)

    def dressed(self, document: dict[str, Any], heard: Heard) -> dict[str, Any]:
        """Return a completion with what the service adds to it."""
        return document

    def answer(self, heard: Heard) -> Said:
        """Return the reply to a request that is addressed right."""
        if heard.body.get("model") != self.model:
            return self.no_model(str(heard.body.get("model")))
        for member in self.refused_in(heard):
            return self.refusal(member, heard)
        return self.played(heard)

    def played(self, heard: Heard) -> Said:
        """Return the reply of the scene that a question names, or a good answer."""
        scene = {**self.scenes(), **self.endings()}.get(heard.script or "")
        return self.good(heard) if scene is None else scene.plays(heard)

    def good(self, heard: Heard) -> Said:
        """Return the answer of the model behind it, whole or in events."""
        document = self.dressed(document_of(heard, self.honours), heard)
        if not heard.body.get("stream"):
            return Said(200, document)
        asked = (heard.body.get("stream_options") or {}).get("include_usage")
        usage = bool(asked) and "stream_options" in self.honours
        return Said(200, events_of(document, with_usage=usage), "text/event-stream")

    def refused_in(self, heard: Heard) -> list[str]:
        """Return what the service refuses of a request."""
        return [name for name in (heard.mode, *heard.body) if name in self.refuses]

    def is_addressed(self, heard: Heard) -> bool:
        """Whether a request has the query and the key that the service wants."""
        is_known = self.key_header is None or heard.headers.get(self.key_header) == self.key_value()
        return is_known and heard.query == self.query

    def complaints(self, heard: Heard, expected: StructuredMode) -> list[str]:
        """Return what is wrong with a request: of its address and key always, of its form if it is a question."""
        wrong = []
        if (heard.method, heard.path) != ("POST", self.path()):
            wrong.append(f"{heard.method} {heard.path} in place of POST {self.path()}")
        if heard.query != self.query:
            wrong.append(f"the query is {heard.query}")
        keys = {name: heard.headers[name] for name in ("authorization", "api-key") if name in heard.headers}
        if keys != ({} if self.key_header is None else {self.key_header: self.key_value()}):
            wrong.append(f"the key is in {sorted(keys)}, or is another")
        if heard.script is None:
            return wrong
        if heard.mode != expected:
            wrong.append(f"[[{heard.script}]] is asked in mode {heard.mode} in place of {expected}")
        if heard.is_in_words != (expected in {"json_object", "text"}):
            wrong.append(f"[[{heard.script}]] says the schema in words: {heard.is_in_words}")
        unknown = [name for name in self.refused_in(heard) if name != heard.mode]
        return [*wrong, *(f"[[{heard.script}]] sends `{name}`, which is refused" for name in unknown)]
