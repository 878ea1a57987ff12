"""Walking over every line of a cassette folder, one at a time, whether it answers or not. Knows no index.

What is wanted of a line is mostly in its first two hundred bytes; `head` reads those and parses nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import orjson

from llmbatch.cassette.line import BadLineError, Decoded, decode, frame
from llmbatch.cassette.segment import (
    FAILURES,
    SEGMENT,
    Header,
    Metadata,
    SegmentName,
    damaged,
    lines_after,
    open_for_reading,
    read_header,
    segments_of,
)

_REQUEST_MARK = b',"request":{"method":'
# every quote inside of a string is escaped, so neither can stand in a text
_CASE = re.compile(rb',"case":(null|"(?:[^"\\]|\\.)*")')
_KEY = slice(10, 42)


class RecordedLine(NamedTuple):
    """One line, where it is, and the metadata that it was recorded under."""

    file: SegmentName
    offset: int
    text: bytes
    metadata: Metadata

    @property
    def key(self) -> bytes:
        """The key, in hexadecimal digits as they are written."""
        return self.text[_KEY]

    @property
    def case_json(self) -> bytes:
        """The id of the case as it is written: JSON text, or `null`."""
        found = _CASE.search(self.text)
        return found[1] if found else b"null"

    @property
    def case(self) -> str | None:
        """The id of the case that asked first."""
        text = self.case_json
        return None if text == b"null" else str(orjson.loads(text))

    @property
    def generation(self) -> int:
        """The generation, as the index reads it."""
        return frame(self.text).generation

    def head(self) -> dict[str, Any]:
        """Return the members before the request, unchecked."""
        payload: dict[str, Any] = orjson.loads(self.text[2 : self.text.index(_REQUEST_MARK)] + b"}")
        return payload


def files_of(folder: Path, *kinds: str) -> Iterator[tuple[SegmentName, Header, BinaryIO]]:
    """Yield each file of these kinds (default: failures, then answers) that has a header, open behind that.

    Raises CassetteDamaged for a file that does not open as a segment does.
    """
    for name in segments_of(folder):
        if name.kind not in (kinds or (SEGMENT, FAILURES)):
            continue
        path = folder / name.file
        with open_for_reading(path) as stream:
            header = read_header(path, stream)
            if header is not None:
                yield name, header, stream


def lines_of(folder: Path, *kinds: str) -> Iterator[RecordedLine]:
    """Yield each whole line of the files of these kinds (default: failures, then answers), in their order.

    Key and generation are at their places. Raises CassetteDamaged for a file or a line that is no such thing.
    """
    for name, header, stream in files_of(folder, *kinds):
        path = folder / name.file
        for offset, line in lines_after(path, stream, header.end):
            try:
                frame(line)
            except BadLineError as error:
                raise damaged(path, offset, error) from error
            yield RecordedLine(name, offset, line, header.metadata)


def decoded(folder: Path, line: RecordedLine) -> Decoded:
    """Return all of a line, its checksum checked. Raises CassetteDamaged."""
    try:
        return decode(line.text)
    except BadLineError as error:
        raise damaged(folder / line.file.file, line.offset, error) from error


def title_of(case: str | None) -> str:
    """Return `task[variant]` of a case id, and words for lines that belong to no case."""
    return "(no case)" if case is None else case.partition("::")[0]
