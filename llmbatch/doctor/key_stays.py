"""Check: what is ignored, and every credential, leaves the key of a request alone. So an answer is found again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from llmbatch.call.key import url_parts
from llmbatch.doctor.example import JSON, Example, examples_of
from llmbatch.doctor.finding import Finding

_KEY = "not-a-real-key-0123456789"
_BOUNDARIES = ("one", "another-boundary")


def check(cassette: Path | None) -> Iterator[Finding]:
    """Yield a finding for each request that is examined, and one for a multipart body."""
    for example in examples_of(cassette):
        yield _finding(example, list(spellings_of(example)))
    first, second = (_multipart(boundary) for boundary in _BOUNDARIES)
    yield _finding(first, [("multipart boundary", second)])


def spellings_of(example: Example) -> Iterator[tuple[str, Example]]:
    """Yield what does not count by name, with the request in which that is another."""
    yield "other headers", example.with_headers(user_agent="x", accept="*/*", x_stainless_retry_count="1", date="x")
    if not example.is_multipart:  # there it names the boundary
        yield "content type", example.with_headers(content_type=f"{JSON}; charset=utf-8")
    yield (
        "letter case of headers",
        replace(example, headers={name.title(): each for name, each in example.headers.items()}),
    )
    yield "order of headers", replace(example, headers=dict(reversed(list(example.headers.items()))))
    yield (
        "credential headers",
        example.with_headers(authorization=f"Bearer {_KEY}", api_key=_KEY, x_api_key=_KEY, cookie="c"),
    )
    yield (
        "header that holds a key",
        replace(example.with_headers(x_portal=_KEY), key_headers=(*example.key_headers, "x-portal"), secrets=(_KEY,)),
    )
    yield from _spelled_urls(example)
    members = example.members
    if members is not None:
        yield "order of members", example.with_members(dict(reversed(members.items())))
        yield "white space", example.with_members(members, indent=2)


def _spelled_urls(example: Example) -> Iterator[tuple[str, Example]]:
    scheme, host, port, path, query = url_parts(example.url)
    if not scheme:
        return
    address = f"{host}:{port}{path}"
    mark = "&" if query else "?"
    for what, url in {
        "letter case of the host": f"{scheme.upper()}://{host.upper()}:{port}{path}{query}",
        "fragment": f"{scheme}://{address}{query}#part",
        "user and password": f"{scheme}://user:{_KEY}@{address}{query}",
        "secret parameters": f"{scheme}://{address}{query}{mark}key={_KEY}&api_key=x&sig=x&access_token=x",
    }.items():
        yield what, replace(example, url=url)


def _finding(example: Example, spellings: list[tuple[str, Example]]) -> Finding:
    key = example.key
    moved = [what for what, spelled in spellings if spelled.key != key]
    problems = tuple(f"another {what} has another key" for what in moved)
    return Finding("key stays", f"{example.name}, whatever its {', '.join(what for what, _ in spellings)}", problems)


def _multipart(boundary: str) -> Example:
    body = f'--{boundary}\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--{boundary}--\r\n'
    headers = {"content-type": (f"multipart/form-data; boundary={boundary}",)}
    return Example("POST", "https://api.example.com/v1/files", headers, body.encode())
