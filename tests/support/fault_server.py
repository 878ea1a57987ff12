"""A deterministic OpenAI-compatible server with scripted faults, run as a process of its own.

`python tests/support/fault_server.py --port 0` prints its port as the first line. The answer is a function of the
canonical body alone (and, at a temperature above 0, of how often that body was answered before), so a run with
faults must end with the rows of a run without. Counters live here, so they outlive a killed client: GET /_truth.

A user message scripts its own faults, in the order written; then the answer comes:

    [[500 x2]]  any status, on the first two attempts; without xN on every one (429: on the first only)
    [[429 retry-after=0]]  name=value before the count are response headers; code=... is the error's code
    quota, moderation, context      429, 403 and 400 with the wording of a service
    html, broken, cut, rst, hang    a web page, half a JSON body, half the bytes, a reset, silence
    error, empty                    an error object inside a 200 (code=502), no choices
    refusal, length, null, tools    answers that are results
    garbage, prose, fenced          content of the wrong shape, without JSON, with JSON inside a fence
    [[delay=0.2]]                   seconds, on every attempt
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import hashlib
import math
import os
import re
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import orjson
from aiohttp import web

CREATED = 1_760_000_000
LARGEST_BODY_BYTES = 64 * 1024 * 1024
_DIRECTIVE = re.compile(r"\[\[([^\[\]]+)\]\]")
_WORDS = ("parser", "cache", "index", "retry", "socket", "branch", "merge", "build", "token", "queue", "frame", "patch")
_STATUS_CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded", 400: "invalid_value"}
_HTML = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Sign in to the network</body></html>"


# what the model would say --------------------------------------------------------------------------------


class Dice:
    """An endless supply of numbers that depend on the seed alone."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._thrown = 0

    def pick(self, number: int) -> int:
        """Return a number from 0 to `number` - 1."""
        self._thrown += 1
        digest = hashlib.blake2b(f"{self._seed}:{self._thrown}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % max(1, number)

    def words(self, number: int) -> str:
        return " ".join(_WORDS[self.pick(len(_WORDS))] for _ in range(number))


def instance_of(schema: dict[str, Any], dice: Dice, definitions: dict[str, Any], depth: int = 0) -> Any:
    """Return a value that conforms to a JSON schema of the kind that strict mode allows."""
    if "$ref" in schema:
        return instance_of(definitions[schema["$ref"].rsplit("/", 1)[-1]], dice, definitions, depth + 1)
    if "enum" in schema or "const" in schema:
        labels = schema.get("enum", [schema.get("const")])
        return labels[dice.pick(len(labels))]
    if options := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
        if depth > 8:
            options = [option for option in options if option.get("type") == "null"] or options
        return instance_of(options[dice.pick(len(options))], dice, definitions, depth + 1)
    kind = schema.get("type", "string")
    kind = kind[dice.pick(len(kind))] if isinstance(kind, list) else kind
    if kind == "object":
        return {
            name: instance_of(inner, dice, definitions, depth + 1)
            for name, inner in schema.get("properties", {}).items()
        }
    if kind == "array":
        least = schema.get("minItems", 0 if depth > 8 else 1)
        number = min(schema.get("maxItems", 3), least + dice.pick(3)) if depth <= 8 else least
        items = schema.get("items", {})
        return [instance_of(items, dice, definitions, depth + 1) for _ in range(number)]
    return _scalar(kind, schema, dice)


def _scalar(kind: str, schema: dict[str, Any], dice: Dice) -> Any:
    low = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
    high = schema.get("maximum", schema.get("exclusiveMaximum", low + 100))
    if kind == "integer":
        return math.ceil(low) + dice.pick(math.floor(high) - math.ceil(low) + 1)
    if kind == "number":
        return low + (high - low) * dice.pick(1000) / 1000
    if kind == "boolean":
        return bool(dice.pick(2))
    if kind == "null":
        return None
    return dice.words(2 + dice.pick(4)).ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength", 200)]


def text_of(messages: Any) -> str:
    """Return all user text of a chat, or the text of a plain input."""
    if isinstance(messages, str):
        return messages
    if isinstance(messages, list):
        turns = [turn if isinstance(turn, str) else turn.get("content") for turn in messages if not _is_system(turn)]
        return "\n".join(turn if isinstance(turn, str) else orjson.dumps(turn).decode() for turn in turns if turn)
    return ""


def _is_system(turn: Any) -> bool:
    return isinstance(turn, dict) and turn.get("role") not in {None, "user"}


def content_of(body: dict[str, Any], text: str, dice: Dice) -> str:
    """Return what the model says: an object of the schema that was sent or shown, else a sentence."""
    response_format = body.get("response_format") or {}
    schema = (response_format.get("json_schema") or {}).get("schema") or _schema_in(text)
    if schema is not None:
        definitions = schema.get("$defs") or schema.get("definitions") or {}
        return orjson.dumps(instance_of(schema, dice, definitions)).decode()
    if response_format.get("type") == "json_object":
        return orjson.dumps({"answer": dice.words(3)}).decode()
    return f"The {dice.words(2)} needs a {dice.words(1)}."


def _schema_in(text: str) -> dict[str, Any] | None:
    if '"properties"' not in text:
        return None
    for start in re.finditer(r"\{", text):
        for end in reversed([match.end() for match in re.finditer(r"\}", text)]):
            try:
                found = orjson.loads(text[start.start() : end])
            except orjson.JSONDecodeError:
                continue
            return found if "properties" in found else None
    return None


def logprobs_of(content: str, dice: Dice, alternatives: int) -> dict[str, Any]:
    """Return token log-probabilities whose tokens spell the content; every alternative is less likely."""
    tokens = []
    for piece in re.findall(r" ?\w{1,5}|\s|[^\w\s]", content):
        share = 0.5 + dice.pick(500) / 1001
        rest = [(f"{piece[:-1]}{letter}", (1 - share) / 2 ** (place + 1)) for place, letter in enumerate("qzjkvwxy")]
        top = [(piece, share), *[other for other in rest if other[0] != piece]][:alternatives]
        tokens.append({**_token(piece, share), "top_logprobs": [_token(*other) for other in top]})
    return {"content": tokens, "refusal": None}


def _token(text: str, probability: float) -> dict[str, Any]:
    return {"token": text, "logprob": math.log(probability), "bytes": list(text.encode())}


# what the request wants to go wrong ----------------------------------------------------------------------


class Fault(NamedTuple):
    """One directive: its first word, its options, and on how many attempts it happens (None: on all)."""

    name: str
    options: dict[str, str]
    times: int | None


def faults_in(text: str) -> list[Fault]:
    """Read the directives of a text, in order."""
    faults = []
    for match in _DIRECTIVE.finditer(text):
        words = match[1].split()
        if not words:
            continue
        counts = [int(word[1:]) for word in words[1:] if re.fullmatch(r"x\d+", word)]
        name, _, value = words[0].partition("=")
        options = dict(word.partition("=")[::2] for word in words[1:] if "=" in word)
        if value:
            options[name] = value
        faults.append(Fault(name, options, counts[0] if counts else 1 if name == "429" else None))
    return faults


def fault_at(faults: list[Fault], attempt: int) -> Fault | None:
    """Return what goes wrong at this attempt (from 0), None where the answer comes."""
    for fault in faults:
        if fault.name == "delay":
            continue
        if fault.times is None or attempt < fault.times:
            return fault
        attempt -= fault.times
    return None


# the server ----------------------------------------------------------------------------------------------


@dataclass
class Truth:
    """What really happened, whatever the client believes."""

    calls: int = 0
    answered: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    max_in_one_second: int = 0
    per_key: Counter[str] = field(default_factory=Counter)
    attempts: Counter[str] = field(default_factory=Counter)
    per_status: Counter[int] = field(default_factory=Counter)
    per_path: Counter[str] = field(default_factory=Counter)
    recent: deque[float] = field(default_factory=deque)

    def arrive(self, path: str, now: float) -> None:
        self.calls += 1
        self.per_path[path] += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        self.recent.append(now)
        while self.recent[0] <= now - 1.0:
            self.recent.popleft()
        self.max_in_one_second = max(self.max_in_one_second, len(self.recent))

    def as_json(self) -> bytes:
        shown = {name: value for name, value in vars(self).items() if name != "recent"}
        return orjson.dumps(shown, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SORT_KEYS)


class Server:
    """The request handler and its counters."""

    def __init__(self, *, latency_ms: float = 0.0, require_key: str | None = None, seed: str = "0") -> None:
        self.latency_ms = latency_ms
        self.require_key = require_key
        self.seed = seed
        self.truth = Truth()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        payload = await request.read()
        path = request.path
        if path == "/_truth":
            return web.Response(body=self.truth.as_json(), content_type="application/json")
        if path == "/_reset":
            self.truth = Truth()
            return web.Response(text="{}", content_type="application/json")
        truth = self.truth
        truth.arrive(path, asyncio.get_running_loop().time())
        try:
            response = await self._serve(request, payload)
            truth.per_status[response.status] += 1
            response.headers["x-request-id"] = f"req-{truth.calls}"
            return response
        finally:
            truth.in_flight -= 1

    async def _serve(self, request: web.BaseRequest, payload: bytes) -> web.StreamResponse:
        path = request.path
        if path == "/echo" or path.startswith("/echo/"):
            return self._echo(request, payload)
        if self.require_key is not None and request.headers.get("authorization") != f"Bearer {self.require_key}":
            return _error(401, "Incorrect API key provided: sk-a***. You can find your key in your account.")
        if path == "/v1/models":
            return _json(request, {"object": "list", "data": [{"id": "fault-model", "object": "model"}]})
        if path not in {"/v1/chat/completions", "/v1/embeddings", "/v1/responses"}:
            return _error(404, f"no route {path}")
        try:
            body = orjson.loads(payload)
        except orjson.JSONDecodeError as error:
            return _error(400, f"the body is not JSON: {error}")
        return await self._model(request, path, body)

    async def _model(self, request: web.BaseRequest, path: str, body: dict[str, Any]) -> web.StreamResponse:
        canonical = orjson.dumps(dict(sorted(body.items())))
        key = hashlib.sha256(path.encode() + b"\0" + canonical).hexdigest()[:32]
        attempt = self.truth.attempts[key]
        self.truth.attempts[key] += 1
        text = text_of(body.get("messages") or body.get("input"))
        faults = faults_in(text)
        await self._delay(key, attempt, faults)
        fault = fault_at(faults, attempt)
        if fault is not None:
            failed = await _fail(request, fault)
            if failed is not None:
                return failed
        draw = self.truth.per_key[key] if (body.get("temperature") or 0) > 0 else 0
        self.truth.per_key[key] += 1
        self.truth.answered += 1
        dice = Dice(f"{self.seed}:{key}:{draw}")
        if path == "/v1/embeddings":
            return _json(request, _embeddings(body, self.seed))
        name = fault.name if fault is not None else ""
        if path == "/v1/responses":
            return _json(request, _response(body, text, dice, key))
        document = _completion(body, text, dice, f"chatcmpl-{key[:20]}-{draw}", name)
        if body.get("stream"):
            return _stream(document, cut=name == "cut")
        encoded = orjson.dumps(document)
        if name == "broken":
            encoded = encoded[: len(encoded) // 2]
        if name in {"cut", "rst"}:
            return await _cut(request, encoded, reset=name == "rst")
        return _bytes(request, encoded)

    async def _delay(self, key: str, attempt: int, faults: list[Fault]) -> None:
        seconds = sum(float(fault.options["delay"]) for fault in faults if fault.name == "delay")
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
        return _json(request, document)


def _completion(body: dict[str, Any], text: str, dice: Dice, identity: str, fault: str) -> dict[str, Any]:
    content: str | None = content_of(body, text, dice)
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
    finish = "stop"
    assert content is not None
    if fault == "refusal":
        message.update(content=None, refusal="I cannot help with that.")
    elif fault == "length":
        message["content"], finish = content[: max(1, len(content) // 2)], "length"
    elif fault == "null":
        message["content"] = None
    elif fault == "tools":
        call = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": '{"word":"cache"}'}}
        message.update(content=None, tool_calls=[call])
        finish = "tool_calls"
    elif fault == "garbage":
        message["content"] = '{"garbage": [1, 2, 3]}'
    elif fault == "prose":
        message["content"] = "I would rather talk about the weather."
    elif fault == "fenced":
        message["content"] = f"Here it is.\n```json\n{content}\n```\nAnything else?"
    said = message["content"] or ""
    wants_logprobs = body.get("logprobs") and said
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": finish,
        "logprobs": logprobs_of(said, dice, int(body.get("top_logprobs") or 0)) if wants_logprobs else None,
    }
    prompt_tokens, completion_tokens = 4 + len(text) // 4, 1 + len(said) // 4
    return {
        "id": identity,
        "object": "chat.completion",
        "created": CREATED,
        "model": body.get("model"),
        "choices": [] if fault == "empty" else [choice],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
            "prompt_tokens_details": {"cached_tokens": 0},
        },
        "system_fingerprint": "fp_fault",
    }


def _response(body: dict[str, Any], text: str, dice: Dice, key: str) -> dict[str, Any]:
    said = {"type": "output_text", "text": content_of(body, text, dice), "annotations": []}
    return {
        "id": f"resp-{key[:20]}",
        "object": "response",
        "created_at": CREATED,
        "status": "completed",
        "error": None,
        "model": body.get("model"),
        "output": [{"id": "msg-1", "type": "message", "role": "assistant", "status": "completed", "content": [said]}],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 4 + len(text) // 4,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 9 + len(text) // 4,
        },
    }


def _embeddings(body: dict[str, Any], seed: str) -> dict[str, Any]:
    texts = body.get("input") or []
    texts = [texts] if isinstance(texts, str) else texts
    vectors = []
    for index, text in enumerate(texts):
        dice = Dice(f"{seed}:{text}")
        vectors.append(
            {"object": "embedding", "index": index, "embedding": [dice.pick(2001) / 1000 - 1 for _ in range(8)]}
        )
    tokens = sum(1 + len(str(text)) // 4 for text in texts)
    return {
        "object": "list",
        "data": vectors,
        "model": body.get("model"),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


_REFUSALS = {
    "quota": (429, "You exceeded your current quota, please check your plan.", "insufficient_quota"),
    "moderation": (403, "Your chosen model requires moderation and your input was flagged.", "403"),
    "context": (400, "This model's maximum context length is 128 tokens.", "context_length_exceeded"),
}


async def _fail(request: web.BaseRequest, fault: Fault) -> web.StreamResponse | None:
    """Return the reply of a fault that is no answer; None where the answer itself is to be bent."""
    options = dict(fault.options)
    code = options.pop("code", None)
    if fault.name.isdecimal():
        status = int(fault.name)
        return _error(status, f"the script says {status}", code=code, headers=options)
    if fault.name in _REFUSALS:
        status, said, code = _REFUSALS[fault.name]
        return _error(status, said, code=code)
    if fault.name == "error":
        return _json(request, {"error": {"message": "Provider returned error", "code": int(code or 502)}})
    if fault.name == "html":
        return web.Response(body=_HTML, content_type="text/html")
    if fault.name == "hang":
        await asyncio.sleep(3_600)
    return None


def _error(status: int, said: str, *, code: str | None = None, headers: dict[str, str] | None = None) -> web.Response:
    error = {"message": said, "type": "error", "param": None, "code": code or _STATUS_CODES.get(status, "server_error")}
    return web.Response(
        status=status, body=orjson.dumps({"error": error}), content_type="application/json", headers=headers
    )


def _json(request: web.BaseRequest, document: Any) -> web.Response:
    return _bytes(request, orjson.dumps(document))


def _bytes(request: web.BaseRequest, encoded: bytes) -> web.Response:
    headers = {"openai-processing-ms": "1"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        encoded = gzip.compress(encoded, 1, mtime=0)
        headers["content-encoding"] = "gzip"
    return web.Response(body=encoded, content_type="application/json", headers=headers)


def _stream(document: dict[str, Any], *, cut: bool) -> web.Response:
    choice = document["choices"][0]
    said = choice["message"]["content"] or ""
    shared = {name: document[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    pieces = [said[start : start + 8] for start in range(0, len(said), 8)]
    deltas: list[tuple[dict[str, Any], str | None]] = [({"content": piece}, None) for piece in pieces]
    deltas.append(({}, choice["finish_reason"]))
    events = [
        b"data: " + orjson.dumps({**shared, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
        for delta, finish in (deltas[: len(deltas) // 2] if cut else deltas)
    ]
    parts = [b": keep-alive", *events] + ([] if cut else [b"data: [DONE]"])
    return web.Response(body=b"\n\n".join(parts) + b"\n\n", content_type="text/event-stream")


async def _cut(request: web.BaseRequest, encoded: bytes, *, reset: bool) -> web.StreamResponse:
    """Promise the whole body, send half of it, and close or reset the connection."""
    response = web.StreamResponse(headers={"content-length": str(len(encoded)), "content-type": "application/json"})
    await response.prepare(request)
    await response.write(encoded[: len(encoded) // 2])
    transport = request.transport
    if transport is not None:
        if reset:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        else:
            transport.close()
    return response


async def _run(options: argparse.Namespace) -> None:
    server = Server(latency_ms=options.latency_ms, require_key=options.require_key, seed=options.seed)
    loop = asyncio.get_running_loop()

    def as_request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=LARGEST_BODY_BYTES)

    runner = web.ServerRunner(web.Server(server.handle, request_factory=as_request, access_log=None))
    await runner.setup()
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if os.name == "posix":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", options.port))
    await web.SockSite(runner, listener, backlog=4096).start()
    print(listener.getsockname()[1], flush=True)
    await asyncio.Event().wait()


def _leave_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0: any free port, printed as the first line")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="mean of a seeded delay of 50 to 150 per cent")
    parser.add_argument("--require-key", help="answer 401 to any other bearer token")
    parser.add_argument("--seed", default="0", help="another seed, other answers")
    parser.add_argument("--leave-with-stdin", action="store_true", help="end when standard input ends")
    options = parser.parse_args(arguments)
    if options.leave_with_stdin:
        threading.Thread(target=_leave_with_parent, daemon=True).start()
    try:
        asyncio.run(_run(options))
    except KeyboardInterrupt:
        sys.exit(0)


# for tests -----------------------------------------------------------------------------------------------


class FaultServer:
    """Starts the server and stops it; a context manager. Ends with this process however that ends.

    `base_url` is for an endpoint, `url` for other routes. The counters are asked for over a bare socket, so that
    no HTTP patch of the test at hand sees it.
    """

    def __init__(
        self, *, latency_ms: float = 0.0, require_key: str | None = None, seed: str = "0", port: int = 0
    ) -> None:
        self._command = [sys.executable, str(Path(__file__).resolve()), "--leave-with-stdin"]
        self._command += ["--port", str(port), "--latency-ms", str(latency_ms), "--seed", seed]
        if require_key is not None:
            self._command += ["--require-key", require_key]
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def start(self) -> FaultServer:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.strip().isdigit():
            self.stop()
            msg = "the fault server did not start"
            raise RuntimeError(msg)
        self.port = int(line)
        return self

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def truth(self) -> dict[str, Any]:
        """Return the server's counters."""
        found: dict[str, Any] = orjson.loads(self._ask("GET", "/_truth"))
        return found

    def reset(self) -> None:
        """Set all counters to nought."""
        self._ask("POST", "/_reset")

    def _ask(self, method: str, path: str) -> bytes:
        request = f"{method} {path} HTTP/1.0\r\nhost: 127.0.0.1\r\ncontent-length: 0\r\n\r\n".encode()
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(request)
            received = b"".join(iter(lambda: connection.recv(65_536), b""))
        return received.partition(b"\r\n\r\n")[2]

    def __enter__(self) -> FaultServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


if __name__ == "__main__":
    main()
