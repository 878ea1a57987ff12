"""Makes a golden cassette: every kind of line that this version writes, for all later versions to open.

    python tests/golden_cassettes/make_golden.py tests/golden_cassettes/0.1.0

Run once a release, into a new folder; what is there is never made again. `expected.jsonl` says, in values, what a
reader must find.
"""

from __future__ import annotations

import sys
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from llmbatch.call.failure import FailureKind
from llmbatch.call.values import Interaction, RecordedFailure, Reply
from llmbatch.cassette.segment import Metadata
from llmbatch.cassette.store import Mode, Store
from llmbatch.cassette.upkeep.alias import add_alias

SERVICE = "https://api.example.com/v1"
JSON = {"content-type": "application/json"}
BOUNDARY = "----2f6e"
UPLOAD = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="file"\r\n\r\n\x00\x01\r\n--{BOUNDARY}--\r\n'.encode()
AWKWARD = 'DEL \x7f, NEL \x85, LS \u2028 PS \u2029, BOM \ufeff, \uffff, astral 😀, quote " and # crc32=00000000'
EVENTS = b'data: {"choices":[{"delta":{"content":"Ja"}}]}\n\ndata: [DONE]\n\n'

Exchange = tuple[str, str, Mapping[str, str], bytes | None, int, str, bytes]
EXCHANGES: list[Exchange] = [
    ("GET", f"{SERVICE}/models", {}, None, 200, "application/json", b'{"data":[]}'),
    (
        "POST",
        f"{SERVICE}/chat",
        JSON,
        b'{"b":1,"a":[1.0,123456789012345678901234567890]}',
        200,
        "application/json",
        b'{"id":1}',
    ),
    ("POST", f"{SERVICE}/chat?api-version=2&key=dropped", JSON, AWKWARD.encode(), 200, "text/plain", AWKWARD.encode()),
    (
        "POST",
        f"{SERVICE}/chat",
        {**JSON, "openai-beta": "assistants=v2"},
        b'{"stream":true}',
        200,
        "text/event-stream",
        EVENTS,
    ),
    (
        "POST",
        f"{SERVICE}/files",
        {"content-type": f"multipart/form-data; boundary={BOUNDARY}"},
        UPLOAD,
        200,
        "application/json",
        b"{}",
    ),
    (
        "PUT",
        f"{SERVICE}/raw",
        {"content-type": "application/octet-stream"},
        b"\xff\xfe\x00",
        200,
        "image/png",
        b"\x89PNG\xff",
    ),
    (
        "POST",
        f"{SERVICE}/chat",
        JSON,
        b'{"too":"long"}',
        400,
        "application/json",
        b'{"error":{"code":"context_length_exceeded"}}',
    ),
    ("DELETE", "http://127.0.0.1:8000/empty", {}, b"", 204, "text/plain", b""),
]


def main(folder: Path) -> None:
    """Write the golden cassette and what it holds."""
    minute = 0

    def reply(status: int, content_type: str, body: bytes) -> Reply:
        nonlocal minute
        minute += 1
        headers = {"content-type": (content_type,), "x-request-id": (f"req-{minute}",), "set-cookie": ("never=stored",)}
        return Reply(status, "", headers, body, f"2026-11-22T09:{minute:02}:00.000000Z", 1000 * minute)

    def store(mode: Mode, **prices: str) -> Store:
        prices_of, names = ({"service/m": prices}, {"service/m": "m-2026-11"}) if prices else ({}, {})
        metadata = Metadata(endpoints={"service": SERVICE}, prices=prices_of, models=names)
        return Store(folder, record_mode=mode, metadata=metadata)

    with store("new_episodes") as first:
        for method, url, headers, body, status, kind, answer in EXCHANGES:
            call = first.call(first.request(method, url, headers, body), 0, 0)
            first.record(call, reply(status, kind, answer), case=None if body is None else "golden[m]::ä#1")
        asked = first.request("POST", f"{SERVICE}/chat", JSON, b'{"again":true}')
        for repeat, ordinal in ((0, 0), (0, 1), (1, 0)):
            first.record(first.call(asked, repeat, ordinal), reply(200, "text/plain", b"%d-%d" % (repeat, ordinal)))
        first.record(first.call(asked, 0, 0), reply(200, "text/plain", b"a second answer"))  # kept as a duplicate
        failed = first.call(first.request("POST", f"{SERVICE}/chat", JSON, b'{"busy":true}'), 0, 0)
        first.record_failure(failed, FailureKind.RATE_LIMITED, "slow down", reply=reply(429, "text/plain", b"wait"))
        first.record_failure(failed, FailureKind.TIMEOUT, "no answer in 600 s")
    with store("new_episodes", usd_per_million_in="0.15") as second:  # other metadata: another segment
        later = second.request("POST", f"{SERVICE}/chat", JSON, b'{"later":true}')
        second.record(second.call(later, 0, 0), reply(200, "text/plain", b"later"), case="golden[m]::2")
    with store("all") as third:
        third.record(third.call(asked, 0, 0), reply(200, "text/plain", b"the answer of generation 1"))
        third.complete_generation()
    with store("all") as fourth:  # begun and never completed: it answers nothing
        fourth.record(fourth.call(asked, 0, 0), reply(200, "text/plain", b"the answer of generation 2"))
    add_alias(folder, "https://moved.example/v1", SERVICE)
    (folder / "expected.jsonl").write_bytes(b"".join(described(folder)))


def described(folder: Path) -> list[bytes]:
    """Return what a reader finds, a line an answer or a failure, sorted."""
    with Store(folder) as found:
        lines = [_described(each) for each in found]
        lines += [_described_failure(each) for each in found.failures()]
    return sorted(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines)


def _described(each: Interaction) -> dict[str, Any]:
    return {
        "key": each.call.key.hex(),
        "url": each.call.request.url,
        "request_headers": each.call.request.headers,
        "request": _text(each.call.request.body),
        "draw": [each.generation, each.call.repeat, each.call.ordinal],
        "case": each.case,
        "status": each.reply.status,
        "response_headers": each.reply.headers,
        "response": _text(each.reply.body),
        "recorded": [each.reply.recorded_at, each.reply.taken_us],
    }


def _described_failure(failure: RecordedFailure) -> dict[str, Any]:
    body = None if failure.reply is None else _text(failure.reply.body)
    return {"key": failure.call.key.hex(), "failed": [failure.kind, failure.message, body]}


def _text(body: bytes | None) -> str | None:
    return None if body is None else b64encode(body).decode()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
