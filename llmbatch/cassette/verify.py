"""Checking every byte of a cassette folder. Knows no index: it reads the files as anybody else would.

A stored key is never proof: each is computed again from the recorded request.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from llmbatch.call.key import KEY_VERSION, call_key, canonical_body, request_digest
from llmbatch.call.values import Request
from llmbatch.cassette.aliases import ALIASES_FILE, Aliases, read_aliases
from llmbatch.cassette.line import BadLineError, decode, frame
from llmbatch.cassette.scrub import key_headers_of
from llmbatch.cassette.segment import (
    SEGMENT,
    Header,
    SegmentName,
    lines_after,
    open_for_reading,
    read_header,
    segments_of,
)
from llmbatch.errors import CassetteDamaged


def problems_of(folder: Path) -> Iterator[str]:
    """Yield each thing that is wrong with the files, with file and offset in bytes; none when all is well."""
    try:
        aliases = read_aliases(folder)
    except CassetteDamaged as error:
        yield f"{ALIASES_FILE}: {error.what} (offset 0)"
        aliases = Aliases()
    try:
        names = segments_of(folder)
    except CassetteDamaged as error:
        yield str(error)
        return
    for name in names:
        try:
            yield from _problems_of_file(folder / name.file, name, aliases)
        except CassetteDamaged as error:
            yield f"{name.file}: {error.what} (offset {error.details.get('offset', '0')})"


def digest_of(request: Request) -> bytes:
    """Return the digest of a stored request, from what is stored of it."""
    content_type = request.headers.get("content-type", (None,))[0]
    canonical = canonical_body(request.body, content_type)
    return request_digest(request.method, request.url, canonical, key_headers_of(request.headers))


def _problems_of_file(path: Path, name: SegmentName, aliases: Aliases) -> Iterator[str]:
    with open_for_reading(path) as stream:
        header = read_header(path, stream)
        size = path.stat().st_size
        if header is None:
            if size:
                yield f"{name.file}: the file ends within its header ({size} bytes, offset 0)"
            return
        if header.metadata.key_version != KEY_VERSION:
            version = header.metadata.key_version
            yield f"{name.file}: its keys have version {version}, not {KEY_VERSION} (offset 0)"
        end = header.end
        for offset, line in lines_after(path, stream, header.end):
            end = offset + len(line)
            if (problem := _problem_of_line(line, name, header, aliases)) is not None:
                yield f"{name.file}: {problem} (offset {offset})"
        if end < size:
            yield f"{name.file}: the last {size - end} bytes are a line not written to its end (offset {end})"
        elif end == header.end:
            yield f"{name.file}: a header without an interaction (offset 0)"


def _problem_of_line(line: bytes, name: SegmentName, header: Header, aliases: Aliases) -> str | None:
    try:
        key, generation = frame(line)
        found = decode(line)
    except BadLineError as error:
        return f"a recorded line is damaged: {error}"
    if (key, generation) != (found.call.key, found.generation):
        return "a line's key or generation is not at its place"
    if (found.kind is None) != (name.kind == SEGMENT) or (name.kind == SEGMENT and found.reply is None):
        return "an answer stands where failures are kept, or a failure among answers"
    current = header.metadata.key_version == KEY_VERSION
    if current and call_key(digest_of(found.call.request), found.call.repeat, found.call.ordinal) != key:
        return f"the key {key.hex()} is not the key of the request recorded with it"
    if name.kind == SEGMENT and (alias := aliases.alias_of(found.call.request.url)) is not None:
        return f"this answer is never found: {alias}, below which it is recorded, stands for another address"
    return None
