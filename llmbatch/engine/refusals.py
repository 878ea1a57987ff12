"""What a run says when a service has stopped it: what happened in one line, where it was set, and what to do.

A table; the first row that applies decides. Knows no HTTP library: verdicts carry the name of the rule behind them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit

from llmbatch.call.failure import FailureKind as Kind
from llmbatch.client.proxy import Proxy, find_proxy
from llmbatch.config import ResolvedModel
from llmbatch.errors import ServiceError
from llmbatch.policy import Verdict

_GOES_ON = "the same command goes on where it stopped"


@dataclass(frozen=True, slots=True)
class Stopped:
    """A verdict that ends a run, with all that may be said of it."""

    model: ResolvedModel
    verdict: Verdict
    proxy: Proxy | None

    @property
    def name(self) -> str:
        return self.model.endpoint.name

    @property
    def url(self) -> str:
        return self.model.endpoint.base_url

    @property
    def key(self) -> str:
        return self.model.endpoint.key_env or "none"

    @property
    def shown_proxy(self) -> str:
        return self.proxy.shown if self.proxy is not None else "the proxy"

    @property
    def proxy_place(self) -> str:
        return self.proxy.where if self.proxy is not None else "HTTPS_PROXY or HTTP_PROXY"

    def is_by(self, *rules: str) -> bool:
        """Whether one of these rules decided."""
        return self.verdict.rule in rules

    @property
    def lacks_version(self) -> bool:
        """Whether the base URL has no /v1 or the like in it, which nearly all services want."""
        return re.search(r"/v\d", urlsplit(self.url).path) is None


class Cause(NamedTuple):
    """One row: when it applies, the one line that says what happened, and the fix."""

    applies: Callable[[Stopped], bool]
    what: Callable[[Stopped], str]
    fix: Callable[[Stopped], str]


def _of(kind: Kind) -> Callable[[Stopped], bool]:
    return lambda stopped: stopped.verdict.kind is kind


_CAUSES: tuple[Cause, ...] = (
    Cause(
        lambda stopped: stopped.is_by("no proxy"),
        lambda stopped: f"{stopped.name} cannot be reached: there is no proxy at {stopped.shown_proxy}",
        lambda stopped: f"correct {stopped.proxy_place}, or unset it, or name the host in NO_PROXY; {_GOES_ON}",
    ),
    Cause(
        lambda stopped: stopped.is_by("proxy refuses"),
        lambda stopped: f"{stopped.name} cannot be reached: {stopped.shown_proxy} refuses to pass the call on",
        lambda stopped: f"put user and password into {stopped.proxy_place}, or name the host in NO_PROXY; {_GOES_ON}",
    ),
    Cause(
        lambda stopped: stopped.is_by("no such host"),
        lambda stopped: f"{stopped.name} cannot be reached at {stopped.url}: the host's name cannot be looked up",
        lambda _: f"correct the host in base_url, or connect to the network; {_GOES_ON}",
    ),
    Cause(
        lambda stopped: stopped.is_by("no TLS"),
        lambda stopped: f"{stopped.name} cannot be reached at {stopped.url}: what answers there speaks no TLS",
        lambda _: f"write http:// in base_url if that is meant; {_GOES_ON}",
    ),
    Cause(
        lambda stopped: stopped.is_by("certificate"),
        lambda stopped: f"{stopped.name} cannot be trusted at {stopped.url}: its certificate is not valid here",
        lambda _: f"set SSL_CERT_FILE to a PEM file with the certificate of whoever signed it; {_GOES_ON}",
    ),
    Cause(
        lambda stopped: stopped.is_by("no HTTP"),
        lambda stopped: f"{stopped.name} cannot be reached at {stopped.url}: what answers there speaks no HTTP",
        lambda _: "correct host and port in base_url, then run again",
    ),
    Cause(
        lambda stopped: stopped.is_by("plain text"),
        lambda stopped: f"{stopped.name} cannot be reached at {stopped.url}: what answers there is no model API",
        lambda _: "correct base_url (does it end in /v1?), then run again",
    ),
    Cause(
        _of(Kind.NOT_API),
        lambda stopped: f"{stopped.name} cannot be reached at {stopped.url}: a web page answers in its place",
        lambda _: "sign in to the network, or correct base_url (does it end in /v1?); then run again",
    ),
    Cause(
        lambda stopped: stopped.verdict.kind is Kind.CONNECT_ERROR and stopped.proxy is not None,
        lambda stopped: f"{stopped.name} cannot be reached at {stopped.url} through {stopped.shown_proxy}",
        lambda stopped: f"correct {stopped.proxy_place}, or unset it, or name the host in NO_PROXY; {_GOES_ON}",
    ),
    Cause(
        _of(Kind.CONNECT_ERROR),
        lambda stopped: f"{stopped.name} cannot be reached at {stopped.url}",
        lambda _: f"start the server, or put its base_url right; {_GOES_ON}",
    ),
    Cause(
        _of(Kind.TRUNCATED_BODY),
        lambda stopped: f"{stopped.name} has answered nothing at {stopped.url}: every call was broken off",
        lambda _: f"correct host and port in base_url, or see to the server; {_GOES_ON}",
    ),
    Cause(
        lambda stopped: stopped.is_by("redirect"),
        lambda stopped: f"{stopped.name} has moved: {stopped.url} sends calls elsewhere, and a key follows no redirect",
        lambda _: "write the new address as base_url, then run again",
    ),
    Cause(
        _of(Kind.AUTH),
        lambda stopped: (
            f"{stopped.name} refuses the key in {stopped.key}"
            if stopped.model.endpoint.key_env
            else f"{stopped.name} wants a key, and none is named"
        ),
        lambda stopped: (
            f"check the key in {stopped.key} and its rights; {_GOES_ON}"
            if stopped.model.endpoint.key_env
            else f'check the key: add key_env = "THE_VARIABLE" to [endpoints.{stopped.name}]; {_GOES_ON}'
        ),
    ),
    Cause(
        _of(Kind.QUOTA),
        lambda stopped: f"{stopped.name} says that the quota or the balance of the key in {stopped.key} is used up",
        lambda _: f"raise the quota or the balance; {_GOES_ON}",
    ),
    Cause(
        lambda stopped: stopped.verdict.kind is Kind.MODEL_NOT_FOUND and stopped.lacks_version,
        lambda stopped: f"{stopped.name} has neither the model nor the address: base_url has no /v1",
        lambda stopped: f'write base_url = "{stopped.url}/v1", or check the model\'s name; then run again',
    ),
    Cause(
        _of(Kind.MODEL_NOT_FOUND),
        lambda stopped: f"{stopped.name} knows no model {stopped.model.name!r}",
        lambda stopped: (
            "check the model's name where the experiment or the configuration gives it (and base_url); "
            f"`llmbatch doctor {stopped.name}` lists what there is"
        ),
    ),
    Cause(
        _of(Kind.BAD_REQUEST),
        lambda stopped: f"{stopped.name} refuses every question put to {stopped.model.text}",
        lambda _: (
            "leave out what it refuses: a parameter of the ask, or of `defaults` in the configuration; then run again"
        ),
    ),
    Cause(
        _of(Kind.RATE_LIMITED),
        lambda stopped: f"{stopped.name} asks {stopped.model.text} to wait for long",
        lambda _: "wait as long as the service asks, or lower --concurrency; then run again",
    ),
)
_ANY = Cause(
    lambda _: True,
    lambda stopped: f"{stopped.name} fails at {stopped.model.text}: {stopped.verdict.kind}",
    lambda stopped: f"`llmbatch doctor {stopped.name}` examines it; {_GOES_ON}",
)


def service_error(model: ResolvedModel, verdict: Verdict) -> ServiceError:
    """Return the error that ends a run because of a verdict."""
    endpoint = model.endpoint
    stopped = Stopped(model, verdict, find_proxy(endpoint.base_url))
    cause = next((cause for cause in _CAUSES if cause.applies(stopped)), _ANY)
    details = {"said": verdict.message, "base_url": f"{endpoint.base_url} ({endpoint.place})"}
    if stopped.proxy is not None:
        details["proxy"] = stopped.proxy.shown
    details["key"] = f"from {endpoint.key_env}" if endpoint.key_env else "none"
    return ServiceError(cause.what(stopped), **details, fix=cause.fix(stopped))
