"""Cassettes laid out line by line, as no single run would write them, and what is in a folder afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from pathlib import Path

from hypothesis import strategies as st

from llmbatch.call.values import Call, Reply
from llmbatch.cassette.line import encode
from llmbatch.cassette.segment import FAILURES, SEGMENT, Metadata, SegmentName, header_bytes
from llmbatch.cassette.store import Store

URL = "https://api.example.com/v1/chat/completions"
PLAIN = Metadata(endpoints={"a": "https://api.example.com/v1"})
PRICED = Metadata(endpoints={"a": "https://api.example.com/v1"}, prices={"a/m": {"usd_per_million_in": "1"}})


@dataclass(frozen=True)
class Line:
    """A line and the file it belongs into; lines of equal `file` are in one file where they follow each other."""

    text: bytes
    kind: str = SEGMENT
    metadata: Metadata = PLAIN
    file: int = 0


def call_of(number: int, repeat: int = 0) -> Call:
    """Return the call of a question; every second one goes to another model."""
    store = Store(Path())
    body = b'{"model":"m%d","n":%d}' % (number % 2, number)
    return store.call(store.request("POST", URL, {"content-type": "application/json"}, body), repeat, 0)


def answer(
    number: int,
    body: str = "yes",
    *,
    at: str = "2026-01-02T03:04:05Z",
    generation: int = 0,
    metadata: Metadata = PLAIN,
    case: str | None = "task[x]::1",
) -> Line:
    """Return an answer's line."""
    reply = Reply(200, "OK", {"content-type": ("application/json",)}, body.encode(), at, 12)
    return Line(encode(call_of(number), reply, generation=generation, case=case), SEGMENT, metadata)


def failure(
    number: int, message: str, *, at: str = "", generation: int = 0, metadata: Metadata = PLAIN, status: int = 0
) -> Line:
    """Return a failed attempt's line, with a reply where a status is given."""
    reply = Reply(status, "", {}, b"busy", at, 12) if status else None
    kind = ("server_error", message)
    text = encode(call_of(number), reply, generation=generation, case=None, failure=kind, recorded_at=at)
    return Line(text, FAILURES, metadata)


def write(folder: Path, lines: Iterable[Line], complete: Sequence[int] = ()) -> Path:
    """Write the lines in the order given, with a new file wherever kind, metadata or file changes."""
    folder.mkdir(parents=True)
    numbers = {SEGMENT: 0, FAILURES: 0}
    for (kind, _, payload), found in groupby(lines, lambda line: (line.kind, line.file, line.metadata.payload())):
        together = list(found)
        numbers[kind] += 1
        assert payload == together[0].metadata.payload()
        text = header_bytes(together[0].metadata) + b"".join(line.text for line in together)
        (folder / SegmentName(kind, numbers[kind]).file).write_bytes(text)
    for generation in complete:
        (folder / f"generation-{generation}.complete").touch()
    return folder


def files_of(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below a folder, by its path."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest() for path in paths}


TIMES = st.sampled_from(["", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.5Z", "2026-01-02T03:04:06Z", "no time"])
METADATA = st.sampled_from([PLAIN, PRICED])


@st.composite
def any_line(draw: st.DrawFn) -> Line:
    """Draw an answer or a failure among few questions, so that keys, generations and whole lines collide."""
    number, generation, metadata = draw(st.integers(0, 3)), draw(st.integers(0, 2)), draw(METADATA)
    text, at = draw(st.sampled_from(["yes", "no", "\u2028é"])), draw(TIMES)
    if draw(st.booleans()):
        case = draw(st.sampled_from([None, "task[x]::1", "other::2", "probe:e/m"]))
        return answer(number, text, at=at, generation=generation, metadata=metadata, case=case)
    status = draw(st.sampled_from([0, 503]))
    return failure(number, text, at=at, generation=generation, metadata=metadata, status=status)
