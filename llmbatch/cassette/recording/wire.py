"""Between vcrpy's requests and responses and llmbatch's own values. Pure: knows no cassette and no client.

Also holds what is remembered of requests on their way: an `Attempt` is one call of an HTTP library, which may
be several requests (redirects); a `Sent` is one of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from llmbatch.call.failure import FailureKind
from llmbatch.call.values import Call, Reply, instant_text
from llmbatch.cassette.case import CaseContext, Exchange
from llmbatch.cassette.encoding import TooLargeError, decoded_body
from llmbatch.cassette.line import RECORD_CAP


class UndecodableBodyError(Exception):
    """A body that is not what its content-encoding says, or in an encoding this machine cannot read."""

    def __init__(self, message: str, kind: FailureKind) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(slots=True)
class Sent:
    """One request the recorder has identified: its call, whose it is, and what was found for it."""

    call: Call
    case: CaseContext | None
    exchange: Exchange | None
    started_ns: int
    found: Reply | None = None

    @property
    def is_foreign(self) -> bool:
        """Whether the draw was counted here, and not by `ask`."""
        return self.exchange is None or self.exchange.call is not self.call


@dataclass(slots=True)
class Attempt:
    """One call of an HTTP library while it runs.

    `stored` holds what was recorded under which vcrpy request, redirects first; nothing for `ask`, which
    reads its exchange. `live` says that a reply came that was not recorded.
    """

    pending: list[Sent] = field(default_factory=list)
    stored: list[tuple[Any, Reply]] = field(default_factory=list)
    live: bool = False

    @property
    def to_hand_on(self) -> bool:
        """Whether the client gets what was stored, and not the live response of a failure."""
        return bool(self.stored) and not self.live

    def take(self, digest: bytes) -> Sent | None:
        """Return the request of that digest that is on its way; it no longer is."""
        for sent in self.pending:
            if sent.call.request.digest == digest:
                self.pending.remove(sent)
                return sent
        return None


current_attempt: ContextVar[Attempt | None] = ContextVar("llmbatch_attempt", default=None)


def request_body(request: Any) -> bytes | None:
    """Return the body of a vcrpy request as sent; vcrpy keeps some values as they were given."""
    body = request.body_bytes
    if body is None or isinstance(body, bytes):
        return body
    if isinstance(body, bytearray | memoryview):
        return bytes(body)
    return json.dumps(body).encode()


def request_headers(request: Any) -> dict[str, str]:
    """Return the headers of a vcrpy request as text; urllib3 keeps some as bytes."""
    return {_text(name): _text(value) for name, value in request.headers.items()}


def reply_of(response: Mapping[str, Any], *, recorded_at: datetime, taken_us: int) -> Reply:
    """Return a vcrpy response as it came, still encoded. `recorded_at` is an aware instant."""
    headers: dict[str, tuple[str, ...]] = {}
    came = response["headers"]
    for name, given in came.items() if isinstance(came, Mapping) else came:  # of tornado: pairs
        values = [given] if isinstance(given, str | bytes) else given
        lower = _text(name).lower()
        headers[lower] = headers.get(lower, ()) + tuple(_text(value) for value in values)
    return Reply(
        status=response["status"]["code"],
        reason=response["status"]["message"] or "",
        headers=headers,
        body=response["body"].get("string") or b"",
        recorded_at=instant_text(recorded_at),
        taken_us=taken_us,
    )


def response_of(reply: Reply) -> dict[str, Any]:
    """Return a reply as vcrpy's stubs play it. New on every call: the stubs change what they are given."""
    return {
        # httpx takes only ASCII here
        "status": {"code": reply.status, "message": reply.reason.encode("ascii", "ignore").decode()},
        "headers": {name: list(values) for name, values in reply.headers.items()},
        "body": {"string": reply.body},
    }


def decoded(reply: Reply) -> Reply:
    """Undo the content encoding, where the client has not done so. Raises UndecodableBodyError.

    An encoding that this machine cannot undo stays on the body, with its header: a replay is what was sent.
    """
    encoding = ", ".join(reply.headers.get("content-encoding", ()))
    if not encoding:
        return reply
    headers = {name: values for name, values in reply.headers.items() if name != "content-encoding"}
    if _is_decoded(reply):
        return replace(reply, headers=headers)
    try:
        body, left, broken = decoded_body(reply.body, encoding, cap=RECORD_CAP)
    except TooLargeError as error:
        raise UndecodableBodyError(str(error), FailureKind.TOO_LARGE) from error
    if broken:
        raise UndecodableBodyError(f"the body is not whole, or not {left}", FailureKind.TRUNCATED_BODY)
    return replace(reply, headers=headers | ({"content-encoding": (left,)} if left else {}), body=body)


def _is_decoded(reply: Reply) -> bool:
    """Whether the client has undone the encoding: the body has not the length that was sent.

    One that ends too early is an error of the client, and does not come here.
    """
    sent = reply.header("content-length")
    return sent is not None and sent.isdecimal() and int(sent) != len(reply.body)


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
