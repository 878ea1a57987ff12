"""The lean transport against a real server: exact bytes, whole replies, no cookies, no redirects, a limit."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmbatch.call.failure import FailureKind as Kind
from llmbatch.client import transport as transport_module
from llmbatch.client.chat import Envelope, resolve_parameters
from llmbatch.client.transport import ReplyTooLarge, Transport
from llmbatch.config import Timeouts
from llmbatch.policy import verdict_of_exception, verdict_of_reply
from tests.support.fault_server import FaultServer

HEADERS = {"content-type": "application/json"}


def body(text: str, **options: Any) -> bytes:
    return Envelope("m", resolve_parameters({}, options)).around([{"role": "user", "content": text}]).wire


async def test_the_bytes_arrive_as_they_are_and_the_reply_is_whole(server: FaultServer) -> None:
    """No re-encoding on the way out, no compression left on the way in."""
    sent = '{"b": 1.0,  "a": "ü"}'

    async with Transport() as transport:
        reply = await transport.post(f"{server.url}/echo", sent.encode(), HEADERS)

    assert (reply.status, reply.reason) == (200, "OK")
    assert json.loads(reply.body)["body"] == sent
    assert reply.header("content-type") == "application/json"
    assert reply.taken_us > 0
    assert reply.recorded_at.endswith("Z")


FAULTS = [
    ("[[500]]", Kind.SERVER_ERROR),
    ("[[429 retry-after=0]]", Kind.RATE_LIMITED),
    ("[[quota]]", Kind.QUOTA),
    ("[[401]]", Kind.AUTH),
    ("[[404]]", Kind.MODEL_NOT_FOUND),
    ("[[302]]", Kind.CONFIG_ERROR),
    ("[[context]]", Kind.CONTEXT_LENGTH),
    ("[[moderation]]", Kind.CONTENT_FILTER),
    ("[[html]]", Kind.NOT_API),
    ("[[broken]]", Kind.INVALID_JSON),
    ("[[empty]]", Kind.EMPTY_CHOICES),
    ("[[error code=503]]", Kind.SERVER_ERROR),
    ("[[cut]]", Kind.TRUNCATED_BODY),
    ("[[rst]]", Kind.TRUNCATED_BODY),
    ("[[hang]]", Kind.TIMEOUT),
    ("[[refusal]] [[length]]", None),
    ("hello", None),
]


@pytest.mark.parametrize(("text", "kind"), FAULTS)
async def test_each_scripted_fault_comes_out_as_its_class(server: FaultServer, text: str, kind: Kind | None) -> None:
    """From the wire to the verdict, through the real client library."""
    url = f"{server.base_url}/chat/completions"

    timeouts = Timeouts(first_byte=0.3)

    async with Transport() as transport:
        try:
            verdict = verdict_of_reply(await transport.post(url, body(text), HEADERS, timeouts), url=url)
        except Exception as error:  # noqa: BLE001  the kind of error is what is tested
            verdict = verdict_of_exception(error)

    assert kind == verdict.kind


async def test_nobody_listening_is_a_connect_error() -> None:
    """Nothing was sent, so nothing was billed."""
    with FaultServer() as server:
        url = f"{server.base_url}/chat/completions"

    async with Transport() as transport:
        with pytest.raises(OSError, match="Cannot connect") as caught:
            await transport.post(url, body("x"), HEADERS)

    assert verdict_of_exception(caught.value).kind is Kind.CONNECT_ERROR


async def test_a_reply_over_the_limit_is_dropped(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted after decompression, so that a small bomb is a large reply."""
    monkeypatch.setattr(transport_module, "LARGEST_REPLY_BYTES", 1000)

    packed = {**HEADERS, "accept-encoding": "gzip"}

    async with Transport() as transport:
        with pytest.raises(ReplyTooLarge) as caught:
            await transport.post(f"{server.url}/echo", b"x" * 50_000, packed)

    assert verdict_of_exception(caught.value).kind is Kind.TOO_LARGE
