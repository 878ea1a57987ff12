"""The request handler: from a request to the reply that its script asks for."""

from __future__ import annotations

import asyncio
import hashlib
import os
from typing import Any

import orjson
from aiohttp import web

from tests.support.fault_server import broken
from tests.support.fault_server.chaos import chaos_at
from tests.support.fault_server.documents import completion, dressed, embeddings, events, response
from tests.support.fault_server.model import Dice, text_of
from tests.support.fault_server.replies import error, headers_of, refusal, whole
from tests.support.fault_server.script import Fault, fault_at, faults_in, lasting
from tests.support.fault_server.truth import Truth


class Server:
    """The request handler and its counters."""

    def __init__(
        self,
        *,
        latency_ms: float = 0.0,
        require_key: str | None = None,
        seed: str = "0",
        chaos: float = 0.0,
        hangs: bool = False,
        bears: int | None = None,
    ) -> None:
        self.latency_ms = latency_ms
        self.require_key = require_key
        self.seed = seed
        self.chaos, self.hangs = chaos, hangs
        self.bears = bears
        self.truth = Truth()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        payload = await request.read()
        path = request.path
        if path == "/_truth":
            return web.Response(body=self.truth.as_json(), content_type="application/json")
        if path == "/_end" and request.transport is not None:  # nothing is answered between the last count and the end
            request.transport.write(b"HTTP/1.0 200 OK\r\n\r\n" + self.truth.as_json())
            os._exit(0)
        if path == "/_reset":
            self.truth = Truth()
            return web.Response(text="{}", content_type="application/json")
        truth = self.truth
        truth.arrive(path, asyncio.get_running_loop().time())
        try:
            if self.bears is None or truth.in_flight <= self.bears:
                reply = await self._serve(request, payload)
            else:
                reply = error(429, f"no more than {self.bears} calls at once")
            truth.per_status[reply.status] += 1
            reply.headers["x-request-id"] = f"req-{truth.calls}"
            return reply
        finally:
            truth.in_flight -= 1

    async def _serve(self, request: web.BaseRequest, payload: bytes) -> web.StreamResponse:
        path = request.path
        if path == "/echo" or path.startswith("/echo/"):
            return self._echo(request, payload)
        if self.require_key is not None and request.headers.get("authorization") != f"Bearer {self.require_key}":
            return error(401, "Incorrect API key provided: sk-a***. You can find your key in your account.")
        if path == "/v1/models":
            models = {"object": "list", "data": [{"id": "fault-model", "object": "model"}]}
            return whole(request, orjson.dumps(models))
        if path not in {"/v1/chat/completions", "/v1/embeddings", "/v1/responses"}:
            return error(404, f"no route {path}")
        try:
            body = orjson.loads(payload)
        except orjson.JSONDecodeError as problem:
            return error(400, f"the body is not JSON: {problem}")
        return await self._model(request, path, body)

    async def _model(self, request: web.BaseRequest, path: str, body: dict[str, Any]) -> web.StreamResponse:
        canonical = orjson.dumps(dict(sorted(body.items())))
        key = hashlib.sha256(path.encode() + b"\0" + canonical).hexdigest()[:32]
        text = text_of(body.get("messages") or body.get("input"))
        faults = faults_in(text)
        label = next((each.options["label"] for each in lasting(faults, "label")), "")
        attempt = self.truth.ask(key, label)
        await self._delay(key, attempt, faults)
        fault = fault_at(faults, attempt)
        if fault is None and self.chaos:
            fault = chaos_at(self.seed, key, attempt, share=self.chaos, hangs=self.hangs)
        name = fault.name if fault is not None else ""
        self.truth.per_fault[name] += 1
        if fault is not None:
            failed = await _failed(request, fault, streams=bool(body.get("stream")))
            if failed is not None:
                return failed
        billed_before = self.truth.bill(key, label)
        draw = billed_before if (body.get("temperature") or 0) > 0 else 0
        dice = Dice(f"{self.seed}:{key}:{draw}")
        if path == "/v1/embeddings":
            return whole(request, orjson.dumps(embeddings(body, self.seed)))
        if path == "/v1/responses":
            return whole(request, orjson.dumps(response(body, text, dice, key)))
        document = completion(body, text, dice, f"chatcmpl-{key[:20]}-{draw}", name)
        self.truth.use(document.get("usage") or {"prompt_tokens": 0, "completion_tokens": 0})
        if body.get("stream"):
            return web.Response(body=events(document, name), content_type="text/event-stream")
        headers = {name: value for each in lasting(faults, "with") for name, value in headers_of(each.options).items()}
        return await _answered(request, dressed(orjson.dumps(document), name), name, headers)

    async def _delay(self, key: str, attempt: int, faults: list[Fault]) -> None:
        seconds = sum(float(each.options["delay"]) for each in lasting(faults, "delay"))
        if self.latency_ms:
            seconds += self.latency_ms / 1000 * (0.5 + Dice(f"{self.seed}:{key}:{attempt}:late").pick(1000) / 1000)
        if seconds:
            await asyncio.sleep(seconds)

    def _echo(self, request: web.BaseRequest, payload: bytes) -> web.Response:
        self.truth.answered += 1
        document = {
            "method": request.method,
            "path": request.path_qs,
            "body": payload.decode("utf-8", "replace"),
            "content_type": request.headers.get("content-type"),
        }
        return whole(request, orjson.dumps(document))


async def _failed(request: web.BaseRequest, fault: Fault, *, streams: bool) -> web.StreamResponse | None:
    """Return the reply of a fault that is no answer, and so not billed; None where the answer itself is bent."""
    match fault.name:
        case "error" if not streams:
            inside = {"message": "Provider returned error", "code": int(fault.options.get("code", "502"))}
            return whole(request, orjson.dumps({"error": inside}))
        case "hang":
            return await broken.hang(request)
        case "bomb":
            return broken.bomb()
        case "nothttp":
            return broken.raw(request, b"220 mail.example ready\r\n")
        case _:
            return refusal(fault.name, fault.options)


async def _answered(
    request: web.BaseRequest, encoded: bytes, fault: str, headers: dict[str, str]
) -> web.StreamResponse:
    """Return the reply with an answer, which may still break on its way."""
    match fault:
        case "cut" | "rst":
            return await broken.cut(request, encoded, reset=fault == "rst")
        case "excess":
            return broken.excess(request, encoded)
        case "drip" | "blanks":
            return await broken.drip(request, encoded, blanks=fault == "blanks")
        case _:
            return whole(request, encoded, headers)
