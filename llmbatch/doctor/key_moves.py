"""Check: whatever of a request is changed, one thing at a time, its key moves. So no two questions share an answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from llmbatch.call.key import url_parts
from llmbatch.cassette.scrub import KEY_HEADERS
from llmbatch.doctor.example import Example, examples_of
from llmbatch.doctor.finding import Finding

_OTHER_PORT = "59999"


def check(cassette: Path | None) -> Iterator[Finding]:
    """Yield a finding for each request that is examined."""
    for example in examples_of(cassette):
        key = example.key
        changes = list(changes_of(example))
        still = [what for what, changed in changes if changed.key == key]
        problems = tuple(f"another {what} has the same key" for what in still)
        parts = ", ".join(dict.fromkeys(what for what, _ in changes))
        yield Finding("key moves", f"{example.name}, with another {parts}", problems)


def changes_of(example: Example) -> Iterator[tuple[str, Example]]:
    """Yield each part of a request by name, with the request in which that part alone is another."""
    yield "method", replace(example, method="PUT" if example.method != "PUT" else "POST")
    yield from _changed_urls(example)
    for name in sorted(KEY_HEADERS | set(example.key_headers)):
        yield f"header {name}", example.with_headers(**{name: "another"})
    yield from _changed_bodies(example)
    yield "repeat", replace(example, repeat=example.repeat + 1)
    yield "ordinal", replace(example, ordinal=example.ordinal + 1)


def _changed_urls(example: Example) -> Iterator[tuple[str, Example]]:
    scheme, host, port, path, query = url_parts(example.url)
    if not scheme:
        return
    other = "http" if scheme == "https" else "https"
    for what, parts in {
        "scheme": (other, host, port, path, query),
        "host": (scheme, f"x{host}" if host[:1] != "[" else "[::2]", port, path, query),
        "port": (scheme, host, _OTHER_PORT if port != _OTHER_PORT else "1", path, query),
        "path": (scheme, host, port, f"{path}x", query),
        "query": (scheme, host, port, path, f"{query}&x=1" if query else "?x=1"),
    }.items():
        yield what, replace(example, url="{}://{}:{}{}{}".format(*parts))


def _changed_bodies(example: Example) -> Iterator[tuple[str, Example]]:
    yield "body", replace(example, body=example.body + b"x")
    members = example.members
    if not members:
        return
    for name, value in members.items():
        yield f"`{name}`", example.with_members({**members, name: _other(value)})
    yield "member", example.with_members({**members, "llmbatch_doctor": 1})
    for name, value in members.items():
        if (changed := _deeper(value, _other)) is not None:
            yield f"value inside `{name}`", example.with_members({**members, name: changed})
        if (turned := _turned(value)) is not None:
            yield f"order inside `{name}`", example.with_members({**members, name: turned})


def _other(value: Any) -> Any:
    return [value]  # whatever it was, now it is inside a list


def _deeper(value: Any, change: Any) -> Any:
    """Return the value with its first innermost scalar changed; None for a value that has no inside."""
    if isinstance(value, dict) and value:
        name = next(iter(value))
        inner = _deeper(value[name], change)
        return {**value, name: change(value[name]) if inner is None else inner}
    if isinstance(value, list) and value:
        inner = _deeper(value[0], change)
        return [change(value[0]) if inner is None else inner, *value[1:]]
    return None


def _turned(value: Any) -> Any:
    """Return the value with the members of its deepest object that has two or more in reverse; None without one."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for place, each in inside:
        if (turned := _turned(each)) is not None:
            return (
                {**value, place: turned} if isinstance(value, dict) else [*value[:place], turned, *value[place + 1 :]]
            )
    if isinstance(value, dict) and len(value) > 1:
        return dict(reversed(value.items()))
    return None
