"""Checking every byte of a cassette folder. Knows no index: it reads the files as anybody else would.

A stored key is never proof: each is computed again from the recorded request.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from llmbatch.call.key import KEY_VERSION, call_key, canonical_body, request_digest
from llmbatch.call.values import Call, Request
from llmbatch.cassette.aliases import ALIASES_FILE, Aliases, read_aliases
from llmbatch.cassette.line import BadLineError, Decoded, decode, frame
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
            yield from problems_of_file(folder / name.file, name, aliases)
        except CassetteDamaged as error:
            yield f"{name.file}: {error.what} (offset {error.details.get('offset', '0')})"


def digest_of(request: Request) -> bytes:
    """Return the digest of a stored request, from what is stored of it."""
    content_type = next(iter(request.headers.get("content-type", ())), None)  # a stranger's list may be empty
    canonical = canonical_body(request.body, content_type)
    return request_digest(request.method, request.url, canonical, key_headers_of(request.headers))


def problems_of_file(path: Path, name: SegmentName, aliases: Aliases) -> Iterator[str]:
    """Yield what is wrong with one file. Raises CassetteDamaged where it does not open as a segment does."""
    with open_for_reading(path) as stream:
        header = read_header(path, stream)
        size = path.stat().st_size
        if header is None:
            if size:
                yield f"{name.file}: the file ends within its header ({size} bytes, offset 0)"
            return
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
        found = checked(line, name.kind, header.metadata.key_version)
    except BadLineError as error:
        return str(error)
    if name.kind == SEGMENT and (alias := aliases.alias_of(found.call.request.url)) is not None:
        return f"this answer is never found: {alias}, below which it is recorded, stands for another address"
    return None


def checked(line: bytes, kind: str, key_version: int) -> Decoded:
    """Return all of a line of a file of that kind. Raises BadLineError, which says what is wrong with it.

    Keys of another version than ours are taken as they are: nothing here can compute them.
    """
    key: bytes | None = None
    try:
        key, generation = frame(line)
        found = decode(line)
    except BadLineError as error:
        at = "" if key is None else f"; its key reads {key.hex()}"
        raise BadLineError(f"a recorded line is damaged: {error}{at}") from error
    if (key, generation) != (found.call.key, found.generation):
        raise BadLineError("a line's key or generation is not at its place")
    if (found.kind is None) != (kind == SEGMENT) or (kind == SEGMENT and found.reply is None):
        raise BadLineError("an answer stands where failures are kept, or a failure among answers")
    if key_version == KEY_VERSION and key_of(found.call) != key:
        raise BadLineError(f"the key {key.hex()} is not the key of the request recorded with it")
    return found


def key_of(call: Call) -> bytes:
    """Return the key of a stored call, computed from what is stored. Raises BadLineError where that is no request."""
    try:
        return call_key(digest_of(call.request), call.repeat, call.ordinal)
    except (TypeError, ValueError, AttributeError) as error:
        raise BadLineError(f"its members are not those of a request ({error})") from error
