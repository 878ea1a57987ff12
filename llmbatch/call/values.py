"""Call and Reply: what was asked over HTTP and what came back, as the cassette keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from llmbatch.call.failure import Failure, FailureKind

Headers = Mapping[str, tuple[str, ...]]
"""Lower-case names; every value in the order received."""


def instant_text(instant: datetime) -> str:
    """Return an aware instant as the cassette keeps it: ISO 8601 in UTC, with microseconds."""
    if instant.tzinfo is not UTC:
        instant = instant.astimezone(UTC)
    return instant.isoformat(timespec="microseconds")[: -len("+00:00")] + "Z"


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request after scrubbing, and the digest of all that tells it from another.

    `headers` holds only what is stored: the content type and the key headers. `digest` is 16 bytes; it
    covers the method, the URL, the canonical body and the key headers, but not which draw of it this is.
    """

    method: str
    url: str
    headers: Headers
    body: bytes | None
    digest: bytes


@dataclass(frozen=True, slots=True)
class Call:
    """A request together with which draw of it is wanted; `key` (16 bytes) is what the cassette looks up.

    `repeat` is the case's repeat, `ordinal` counts equal requests within the case, both from 0.
    """

    request: Request
    repeat: int
    ordinal: int
    key: bytes


@dataclass(slots=True)
class Reply:
    """One HTTP response as stored: allowed headers only, the body decoded (no content encoding) and scrubbed.

    `recorded_at` is an ISO 8601 instant in UTC, `taken_us` whole microseconds from send to last byte.
    Both come from the recording, so that a replayed row is the recorded row. Not changed once it is made; to freeze
    it would take thrice the time to make one.
    """

    status: int
    reason: str
    headers: Headers
    body: bytes
    recorded_at: str = ""
    taken_us: int = 0

    def header(self, name: str) -> str | None:
        """Return the first value of a header, by its lower-case name."""
        values = self.headers.get(name)
        return values[0] if values else None


@dataclass(frozen=True, slots=True)
class Interaction:
    """One recorded line: the call, its reply, and llmbatch's own notes beside them."""

    call: Call
    reply: Reply
    generation: int = 0
    case: str | None = None


@dataclass(frozen=True, slots=True)
class RecordedFailure:
    """The last attempt of a call that the service could not answer: kept for audit, never served as an answer."""

    call: Call
    kind: str
    message: str
    reply: Reply | None = None

    def as_failure(self) -> Failure:
        """Return what a row says of it: the same whether it happened now or was found in the cassette."""
        detail = f"http_{self.reply.status}" if self.reply is not None else self.kind
        known = self.kind in FailureKind.__members__.values()  # a stranger's cassette may say anything
        return Failure(FailureKind(self.kind) if known else FailureKind.SERVER_ERROR, self.message, detail)
