"""A request that proves a client intercepted: it reaches the recorder, or the run ends before it pays.

Knows no HTTP library: who has a client says how a URL is asked for.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable

from llmbatch.call.values import Reply
from llmbatch.errors import InternalError

CANARY_HOST = "canary.llmbatch.invalid"
CANARY_URL = f"http://{CANARY_HOST}/"
"""Requests to this host are answered by the recorder and recorded nowhere; by RFC 6761 it cannot resolve."""
CANARY_REPLY = Reply(200, "OK", {"content-type": ("application/json",)}, b'{"object":"canary"}')

_caught: set[str] = set()


def catch(url: str) -> None:
    """Note that a canary has reached the recorder."""
    _caught.add(url)


def was_caught(url: str) -> bool:
    """Return, once, whether this canary has reached the recorder."""
    if url not in _caught:
        return False
    _caught.discard(url)
    return True


class Canary:
    """One for each client object that is built: proves it before its first request, whoever sends that.

    `client` names it in the error; `on_failure` hears of that error first, since a task may swallow what it is raised.
    """

    def __init__(
        self,
        client: str,
        send: Callable[[str], Awaitable[object]],
        on_failure: Callable[[InternalError], None] = lambda error: None,
    ) -> None:
        self._client = client
        self._send = send
        self._on_failure = on_failure
        self._proof: asyncio.Future[None] | None = None

    async def prove(self) -> None:
        """Return when the client is known to be intercepted; requests at once share one canary.

        Raises InternalError when it is not: now, and whenever it is asked again.
        """
        if self._proof is None:
            self._proof = asyncio.ensure_future(self._prove())
        if self._proof.done():
            self._proof.result()
        else:
            await asyncio.shield(self._proof)

    async def _prove(self) -> None:
        url = CANARY_URL + secrets.token_hex(8)
        cause: Exception | None = None
        try:
            await self._send(url)
        except Exception as raised:  # noqa: BLE001 - whatever came of it, what counts is whether it arrived
            cause = raised
        if was_caught(url):
            return
        error = InternalError(
            f"requests of {self._client} do not pass the recorder: they would be paid for and not recorded",
            **({"canary": f"{type(cause).__name__}: {cause}"} if cause is not None else {}),
            fix="install vcrpy and the HTTP library in versions that llmbatch allows; nothing was sent",
        )
        self._on_failure(error)
        raise error from cause
