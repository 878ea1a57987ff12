"""Finding what looks like a key in a cassette: shapes of well-known services, in whatever was recorded.

A shape proves nothing, and a secret without one is not found; what is shown of a find is never the secret. The
shapes are those of the services' own documentation and of the secret scanners of GitHub and GitLab.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from llmbatch.cassette.line import Decoded
from llmbatch.cassette.upkeep.walk import decoded, files_of, lines_of

# no letter before it, unless it ends an escape of JSON or of a URL
_BEFORE = r"(?:(?<![A-Za-z0-9_-])|(?<=\\[bfnrt])|(?<=\\u[0-9a-fA-F]{4})|(?<=%[0-9a-fA-F]{2}))"
_SHAPES: dict[str, re.Pattern[str]] = {
    name: re.compile(_BEFORE + pattern)
    for name, pattern in {
        # the digit keeps names of CSS classes and packages out
        "API key": r"(?P<shown>sk-)(?=[A-Za-z0-9_-]*\d)(?:[a-z0-9]{2,8}-){0,3}[A-Za-z0-9_]{20,}[A-Za-z0-9_-]*",
        "OpenAI key": r"(?P<shown>sk-(?:proj|svcacct|admin)-)[A-Za-z0-9_-]{20,}",
        "Groq key": r"(?P<shown>gsk_)[A-Za-z0-9]{40,}",
        "xAI key": r"(?P<shown>xai-)[A-Za-z0-9]{60,}",
        "NVIDIA key": r"(?P<shown>nvapi-)[A-Za-z0-9_-]{40,}",
        "Hugging Face token": r"(?P<shown>hf_)[A-Za-z0-9]{30,}",
        "AWS key id": r"(?P<shown>AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])",
        "GitHub token": r"(?P<shown>gh[pousr]_)[A-Za-z0-9]{36,}",
        "GitHub fine-grained token": r"(?P<shown>github_pat_)[A-Za-z0-9_]{50,}",
        "GitLab token": r"(?P<shown>glpat-)[A-Za-z0-9_-]{20,}",
        "Slack token": r"(?P<shown>xox[abprs]-)\d[A-Za-z0-9-]{20,}",
        "Google API key": r"(?P<shown>AIza)[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])",
        "JSON web token": r"(?P<shown>eyJ)[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
        "bearer token": r"(?P<shown>[Bb]earer )(?=[A-Za-z0-9._~+/-]*\d)[A-Za-z0-9._~+/-]{20,}",
    }.items()
}
_SHAPES["private key"] = re.compile(r"(?P<shown>-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY)-----")
_HINTS: tuple[str, ...] = (
    *("sk-", "gsk_", "xai-", "nvapi-", "hf_", "AKIA", "ASIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    *("glpat-", "xox", "AIza", "eyJ", "earer ", "-----BEGIN"),
)
# what may hide one from a search in the line as it stands
_LINE_HINTS = tuple(hint.encode() for hint in (*_HINTS, "!!binary", "\\u00"))


@dataclass(frozen=True, slots=True)
class Found:
    """Something of the shape of a secret: where it is, and how it begins. `key` is that of the line, in hex."""

    file: Path
    offset: int
    key: str
    member: str
    shape: str
    sample: str


def secrets_of(folder: Path) -> Iterator[Found]:
    """Yield what looks like a secret, line by line, each once a member. Raises CassetteDamaged."""
    for name, header, _ in files_of(folder):
        path = folder / name.file
        yield from (Found(path, 0, "-", "metadata", *hit) for hit in shapes_in(header.metadata.payload().decode()))
    for line in lines_of(folder):
        if any(hint in line.text for hint in _LINE_HINTS):
            path, key = folder / line.file.file, line.key.decode()
            for member, text in _texts_of_line(decoded(folder, line)):
                yield from (Found(path, line.offset, key, member, *hit) for hit in shapes_in(text))


def shapes_in(text: str) -> list[tuple[str, str]]:
    """Return shape and masked sample of each different secret in a text, in the order of the text."""
    if not any(hint in text for hint in _HINTS):
        return []
    matches = [(match, shape) for shape, pattern in _SHAPES.items() for match in pattern.finditer(text)]
    matches.sort(key=lambda found: found[0].start())
    found, known, end = [], set(), 0
    for match, shape in matches:
        if match.start() >= end and match[0] not in known:
            found.append((shape, f"{match['shown']}… ({len(match[0])} characters)"))
        known.add(match[0])
        end = max(end, match.end())
    return found


def _texts_of_line(found: Decoded) -> Iterator[tuple[str, str]]:
    """Yield each member that holds text of others, by its name; bytes that are not UTF-8 as Latin-1."""
    request, reply = found.call.request, found.reply
    yield "request.uri", request.url
    for name, values in request.headers.items():
        yield f"request.headers.{name}", "\n".join(values)
    if request.body is not None:
        yield "request.body", _text(request.body)
    if reply is not None:
        yield "response.status.message", reply.reason
        for name, values in reply.headers.items():
            yield f"response.headers.{name}", "\n".join(values)
        yield "response.body", _text(reply.body)
    yield "case", found.case or ""
    yield "message", found.message or ""


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body.decode("latin-1")
