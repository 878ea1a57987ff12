"""A reply as it is stored: allowed headers, the body decoded, scrubbed and, of a failure, cut. Knows no file."""

from __future__ import annotations

from dataclasses import replace

from llmbatch.call.failure import FailureKind
from llmbatch.call.values import Reply
from llmbatch.cassette.encoding import TooLargeError, decoded_body
from llmbatch.cassette.scrub import Scrubber

DUPLICATE = (FailureKind.DUPLICATE.value, "a second answer to a call that has one")
"""Kind and message of an answer that does not win: kept among the failures with its whole body, for the cost."""

_ENCODING = "content-encoding"

FAILURE_BODY_CAP = 16 * 1024
"""Bytes kept of a failed attempt's body."""


def stored_reply(scrubber: Scrubber, reply: Reply, *, cap: int) -> Reply:
    """Return a reply as it is stored. Raises TooLargeError for a body that decodes to more than `cap` bytes.

    A body that cannot be decoded here keeps its `content-encoding`, so that a replay is what was sent.
    """
    body, headers = reply.body, scrubber.response_headers(reply.headers)
    encodings = ", ".join(
        [value for name in reply.headers if name.lower() == _ENCODING for value in reply.headers[name]]
    )
    if encodings:
        body, left, _ = decoded_body(body, encodings, cap=cap)
        if left:
            headers["content-encoding"] = (left,)
    return Reply(
        reply.status,
        scrubber.text(reply.reason),
        headers,
        scrubber.body(body),
        scrubber.text(reply.recorded_at),
        reply.taken_us,
    )


def stored_failure(scrubber: Scrubber, reply: Reply, *, cap: int) -> Reply:
    """Return a failed attempt's reply as it is stored: the body cut at 16 KiB, left out beyond `cap`."""
    try:
        stored = stored_reply(scrubber, reply, cap=cap)
    except TooLargeError:
        stored = stored_reply(scrubber, replace(reply, body=b""), cap=cap)
    return replace(stored, body=cut(stored.body))


def cut(body: bytes) -> bytes:
    """Return what is kept of a failure's body: at most 16 KiB, not cut through a character of a text."""
    if len(body) <= FAILURE_BODY_CAP:
        return body
    part = body[:FAILURE_BODY_CAP]
    try:
        body.decode()
    except UnicodeDecodeError:
        return part
    return part.decode(errors="ignore").encode()  # not through the middle of a character
