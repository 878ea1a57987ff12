"""Good inputs to begin with, generated: what a fuzzer mutates, and what hypothesis cuts and joins."""

from __future__ import annotations

from llmbatch.call.key import call_key
from llmbatch.call.values import Call, Reply, Request
from llmbatch.cassette.line import encode, payload_of
from llmbatch.cassette.segment import Metadata, header_bytes
from llmbatch.cassette.verify import digest_of

JSON = {"content-type": ("application/json",)}
BODIES = [None, b"", b'{"model":"m","messages":[{"role":"user","content":"caf\xc3\xa9"}],"n":1.5}', b"\xff\x00\x85"]


def _lines() -> list[bytes]:
    lines = []
    for number, body in enumerate(BODIES):
        request = Request("POST", "https://h.example:8443/v1/chat/completions?a=1#b", JSON, body, b"")
        call = Call(request, number, 2, call_key(digest_of(request), number, 2))
        reply = Reply(200, "OK", {**JSON, "x-request-id": ("r", "s")}, body or b"{}", "2026-01-02T03:04:05Z", 7)
        lines.append(encode(call, reply, generation=0, case="t[v]::1"))
        lines.append(encode(call, reply, generation=3, case=None, failure=("rate_limited", "slow")))
        lines.append(encode(call, None, generation=0, case=None, failure=("timeout", "")))
    return lines


LINES = _lines()
PAYLOADS = [payload_of(line, b"- ") for line in LINES]
_METADATA = Metadata(endpoints={"e": "https://h.example/v1"}, prices={"e/m": {"usd_per_million_in": "0.1"}})
_METADATA_LINE = b"metadata: " + _METADATA.payload()

_STOCK = """interactions:
- request:
    body: '{"model":"m"}'
    headers:
      Content-Type:
      - application/json
      accept: '*/*'
    method: POST
    uri: https://h.example/v1/chat/completions
  response:
    body:
      string: "{\\"choices\\":[{\\"message\\":{\\"content\\":\\"caf\\xE9\\"}}]}"
    headers:
      Date:
      - Sun, 22 Nov 2026 09:30:00 GMT
      Content-Type:
      - application/json
    status:
      code: 200
      message: OK
- request:
    body: null
    headers: {}
    method: GET
    uri: http://h.example/
  response:
    content: plain
    http_version: HTTP/1.1
    headers:
      content-encoding: gzip
    status_code: 404
- request: {body: !!binary "/wA=", headers: {}, method: GET, uri: 'http://h.example/b'}
  response:
    body: {string: !!binary "H4sIAAAAAAAAA8tIzcnJVyjPL8pJAQCFEUoNCwAAAA=="}
    headers: {content-encoding: [gzip]}
    status: {code: 503, message: null}
version: 1
"""
_EXPORTED = (
    b'{"key":"420792409286a8bad73a4ce3fabdb530","generation":0,"repeat":0,"ordinal":0,"recorded_at":"","taken_us":1,'
    b'"case":"c","request":{"method":"GET","url":"http://h/","headers":{},"json":{"a":1},"text":"{ }"},'
    b'"response":{"status":200,"reason":"OK","headers":{"content-type":["a"]},"base64":"/wA="}}\n'
)
_ASKED = b'{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"m"}}\n'
_OUTPUT = (
    b'{"id":"b","custom_id":"a","response":{"status_code":200,"request_id":"r","body":{"created":1760000000,'
    b'"choices":[{"message":{"content":"x"}}]}},"error":null}\n'
    b'{"custom_id":"a","response":null,"error":{"code":"batch_expired","message":"late"}}\n'
)

CORPUS: dict[str, list[bytes]] = {
    "line": [*LINES, *PAYLOADS],
    "folder": [
        b"\x02" + b"\xff".join(b"- " + payload for payload in PAYLOADS[0::3]),
        b"\x03" + b"\xff".join(b"- " + payload for payload in PAYLOADS[1::3]),
        b"\x00version: 1\n\xff" + _METADATA_LINE + b"\xffinteractions:\n\xff- " + PAYLOADS[0],
        b"\x00" + header_bytes(_METADATA) + LINES[0] + b"- {",
    ],
    "yaml": [_STOCK.encode()],
    "import": [b"y" + _STOCK.encode(), b"j" + _EXPORTED, b"b" + _OUTPUT + b"\xff" + _ASKED],
}
