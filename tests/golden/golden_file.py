"""Requests as they were, a line each, and what has moved since. Knows nothing of how they are made."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from llmbatch.call.values import Call

FOLDER = Path(__file__).parent
_AROUND = 60

WHAT_TO_DO = """
These bytes are keys: where they move, every answer recorded for such a question is asked, and paid for, again.

  * a library of ours was upgraded: give back the old bytes in llmbatch (schemas: llmbatch/parse/strict.py, bodies:
    llmbatch/client/chat.py), or keep that library below this version in pyproject.toml until that is done;
  * the SDK sends other bytes: nothing of ours can give them back. Say it in CHANGELOG.md, then regenerate;
  * only keys moved and no body did: the key itself has changed, which KEY_VERSION must say (llmbatch/call/key.py);
  * the change is meant: say in CHANGELOG.md which questions will be asked again, then regenerate with

        python -m tests.golden.regenerate
"""


class Golden(NamedTuple):
    """One request: what it is called here, its key, and what of it is on the wire and in the key."""

    name: str
    key: str
    method: str
    url: str
    headers: dict[str, list[str]]
    body: str

    @classmethod
    def of(cls, name: str, call: Call, wire: bytes | None = None) -> Golden:
        """Return a call as it is kept; `wire` is the body as sent, where it is not the stored one."""
        request = call.request
        body = (wire if wire is not None else request.body) or b""
        try:
            text = body.decode()
        except UnicodeDecodeError:
            text = f"base64:{base64.b64encode(body).decode()}"
        headers = {header: list(values) for header, values in sorted(request.headers.items())}
        return cls(name, call.key.hex(), request.method, request.url, headers, text)


def write(file: str, libraries: Iterable[str], requests: Iterable[Golden]) -> None:
    """Write a file anew: first the versions it was made with, then a line a request."""
    lines: list[object] = [{"written_with": _versions(libraries)}]
    lines += [request._asdict() for request in requests]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (FOLDER / file).write_text(text, encoding="utf-8", newline="\n")


def read(file: str) -> tuple[dict[str, str], dict[str, Golden]]:
    """Return the versions a file was made with, and its requests by name."""
    head, *lines = (FOLDER / file).read_text(encoding="utf-8").split("\n")[:-1]
    requests = [Golden(**json.loads(line)) for line in lines]
    return json.loads(head)["written_with"], {request.name: request for request in requests}


def moved(file: str, found: Iterable[Golden]) -> str:
    """Return, in words, how requests differ from a file's, and what to do about it; empty when none does."""
    versions, expected = read(file)
    now = {request.name: request for request in found}
    problems = [f"{name}: it is in {file} and no longer made" for name in expected if name not in now]
    problems += [f"{name}: it is not in {file} yet" for name in now if name not in expected]
    for name, request in now.items():
        problems += [f"{name}: {change}" for change in _changes(expected.get(name, request), request)]
    if not problems:
        return ""
    present = _versions(versions)
    libraries = ", ".join(
        f"{library} {old}" + (f" -> {present[library]}" if present[library] != old else "")
        for library, old in versions.items()
    )
    return "\n".join([f"golden requests have moved ({libraries}):", *problems, WHAT_TO_DO])


def _changes(old: Golden, new: Golden) -> list[str]:
    changes = [
        f"{field} was {before!r}, is {after!r}"
        for field, before, after in zip(Golden._fields, old, new, strict=True)
        if before != after and field != "body"
    ]
    if old.body != new.body:
        pairs = enumerate(zip(old.body, new.body, strict=False))
        place = next((place for place, (one, two) in pairs if one != two), min(len(old.body), len(new.body)))
        start = max(0, place - _AROUND)
        was, now = (body[start : place + _AROUND] for body in (old.body, new.body))
        changes.append(f"the body differs from character {place} on\n    was  …{was}…\n    is   …{now}…")
    return changes


def _versions(libraries: Iterable[str] | Mapping[str, str]) -> dict[str, str]:
    return {library: version(library) for library in libraries}
