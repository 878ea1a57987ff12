"""The three lines that open a segment, and walking over the lines that follow. Knows no key and no index.

A segment is a vcrpy version-1 cassette: `version: 1`, `metadata: {...}`, `interactions:`, then one
interaction a line. The failures files of a cassette look the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import orjson

from llmbatch.call.key import IGNORED, KEY_VERSION
from llmbatch.cassette.index import LARGEST_NUMBER
from llmbatch.cassette.line import RECORD_CAP, BadLineError, dumps, payload_of, with_crc
from llmbatch.errors import CassetteDamaged, ConfigError, InternalError

FORMAT = 1
SEGMENT = "segment"
FAILURES = "failures"

_VERSION_LINE = b"version: 1\n"
_METADATA_PREFIX = b"metadata: "
_INTERACTIONS_LINE = b"interactions:\n"
_NAME = re.compile(r"(segment|failures)-(\d{5,9})\.yaml", re.ASCII)
_GENERATION_NAME = re.compile(r"generation-(\d{1,9})\.complete", re.ASCII)
_READ_BYTES = 1 << 20
_LONGEST_OTHER = 64  # bytes; of the first and the third line
PRICE_SOURCE = "source"
"""The member of a model's prices that says in words where they are from."""
METADATA_CAP = 1 << 20
"""Bytes of the longest metadata line."""
RESTORE = (
    "restore the file from version control or a copy; `llmbatch cassette verify` lists all damaged lines, "
    "and `--repair` sets them aside"
)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What all lines of a segment were recorded under; a run whose metadata differs starts a new segment.

    `endpoints` maps names to base URLs, `prices` holds the snapshot that costs are computed from: JSON
    values, where a number with a fraction is kept as decimal text (YAML 1.1 reads `1e-7` as text anyway); a `source`
    may say where a model's prices are from.
    `ignore` says in words what of a request does not enter the key. `models` maps `endpoint/alias` to the name
    that goes over the wire, where that is another one.
    """

    endpoints: Mapping[str, str] = field(default_factory=dict)
    prices: Mapping[str, Any] = field(default_factory=dict)
    ignore: tuple[str, ...] = IGNORED
    key_version: int = KEY_VERSION
    format: int = FORMAT
    models: Mapping[str, str] = field(default_factory=dict)

    def payload(self) -> bytes:
        """Return the canonical JSON; equal metadata give equal bytes."""
        members: dict[str, Any] = {
            "format": self.format,
            "key_version": self.key_version,
            "ignore": list(self.ignore),
            "endpoints": dict(sorted(self.endpoints.items())),
            "prices": _plain(self.prices),
        }
        if self.models:  # a member of its own only where it says something: older files have none
            members["models"] = dict(sorted(self.models.items()))
        return dumps(members)


class SegmentName(NamedTuple):
    """A file of the cassette by its kind (`segment` or `failures`) and number."""

    kind: str
    number: int

    @property
    def file(self) -> str:
        """Return the file's name."""
        return f"{self.kind}-{self.number:05d}.yaml"


class Header(NamedTuple):
    """What a segment opens with, and the offset of its first interaction."""

    metadata: Metadata
    end: int


def segments_of(folder: Path) -> list[SegmentName]:
    """Return the cassette's files in the order of kind and number. A missing folder has none.

    Only names of this form count, and a link that leads out of the folder is refused (CassetteDamaged).
    """
    found = []
    for name in _names_in(folder):
        match = _NAME.fullmatch(name)
        if match is None:
            continue
        path, found_name = folder / name, SegmentName(match[1], int(match[2]))
        if found_name.file != name:  # `segment-0000001.yaml` would be read under the name of another file
            continue
        if path.is_symlink() and not _leads_into(folder, path):
            raise CassetteDamaged(
                f"{name} is a link that leads out of the cassette",
                file=str(path),
                fix="put the file itself in its place",
            )
        if path.is_file():
            if found_name.number > LARGEST_NUMBER:
                raise CassetteDamaged(
                    f"the number of {name} is beyond {LARGEST_NUMBER}",
                    file=str(path),
                    fix="give the file the next number after the last of its kind",
                )
            found.append(found_name)
    return sorted(found)


def _leads_into(folder: Path, link: Path) -> bool:
    try:
        return link.resolve().parent == folder.resolve()
    except (OSError, RuntimeError):  # a link to itself
        return False


def complete_generations_of(folder: Path) -> set[int]:
    """Return the generations that may answer: 0, and those with a `generation-N.complete` file."""
    return {0} | {int(match[1]) for name in _names_in(folder) if (match := _GENERATION_NAME.fullmatch(name))}


def header_bytes(metadata: Metadata) -> bytes:
    """Return the three lines that open a segment; written together with the first interaction."""
    line = with_crc(_METADATA_PREFIX, metadata.payload())
    if len(line) > METADATA_CAP:
        raise ConfigError(
            f"the endpoints and prices take {len(line)} bytes of a cassette's metadata, and {METADATA_CAP} is the most",
            fix="configure fewer models with prices",
        )
    return _VERSION_LINE + line + _INTERACTIONS_LINE


def read_header(path: Path, stream: BinaryIO) -> Header | None:
    """Read the three first lines; None when the file ends before they do (torn, or still empty).

    Raises CassetteDamaged, and says so where stock vcrpy has rewritten the file in its own style.
    """
    caps = (_LONGEST_OTHER, METADATA_CAP, _LONGEST_OTHER)  # a stranger's file may have no newline at all
    lines = [stream.readline(cap) for cap in caps]
    if lines[0] in (_INTERACTIONS_LINE, b"interactions:\r\n"):
        raise CassetteDamaged(
            "this file is in vcrpy's block style: stock vcrpy wrote or rewrote it",
            file=str(path),
            fix="restore the file from version control; use record_mode='none' when reading it with vcrpy",
        )
    is_too_long = any(len(line) == cap and line[-1:] != b"\n" for line, cap in zip(lines, caps, strict=True))
    if not is_too_long and not lines[-1].endswith(b"\n") and _is_torn_header(lines):
        return None
    if is_too_long or lines[0] != _VERSION_LINE or lines[2] != _INTERACTIONS_LINE:
        raise CassetteDamaged("this file does not open as a segment does", file=str(path), offset="0", fix=RESTORE)
    try:
        metadata = _metadata(orjson.loads(payload_of(lines[1], _METADATA_PREFIX)))
        metadata.payload()  # what can be read can be written again
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        offset = str(len(_VERSION_LINE))
        raise CassetteDamaged(
            f"the metadata of this file cannot be read: {error}", file=str(path), offset=offset, fix=RESTORE
        ) from error
    if metadata.format != FORMAT or metadata.key_version > KEY_VERSION:
        raise CassetteDamaged(
            f"this file has format {metadata.format} and key version {metadata.key_version}; "
            f"this llmbatch reads format {FORMAT} and key versions up to {KEY_VERSION}",
            file=str(path),
            fix="use a newer llmbatch",
        )
    return Header(metadata, sum(map(len, lines)))


def lines_after(path: Path, stream: BinaryIO, offset: int) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, line) of every whole line; bytes after the last newline are left out.

    `stream` must stand at `offset`. One line is held at a time. Raises CassetteDamaged for a line
    beyond the cap.
    """
    while line := stream.readline(RECORD_CAP + 1):
        if not line.endswith(b"\n"):
            if len(line) > RECORD_CAP:
                raise damaged(path, offset, f"the line is longer than {RECORD_CAP} bytes")
            return
        yield offset, line
        offset += len(line)


def open_for_reading(path: Path) -> BinaryIO:
    """Open a file of the cassette to be read from its start in large pieces."""
    return path.open("rb", buffering=_READ_BYTES)


def damaged(path: Path, offset: int, why: BadLineError | str) -> CassetteDamaged:
    """Return the error for one line that cannot be used."""
    what = f"a recorded line is damaged: {why}"
    return CassetteDamaged(what, file=str(path), offset=str(offset), fix=RESTORE)


def _names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def _is_torn_header(lines: list[bytes]) -> bool:
    wanted = (_VERSION_LINE, _METADATA_PREFIX, _INTERACTIONS_LINE)
    for line, start in zip(lines, wanted, strict=True):
        if not line.endswith(b"\n"):
            return start.startswith(line) or line.startswith(start)
        if not line.startswith(start):
            return False
    return False


def _metadata(value: dict[str, Any]) -> Metadata:
    """Return foreign values as metadata; raises TypeError for any that is not of the type it should have."""
    endpoints, prices, ignore, models = value["endpoints"], value["prices"], value["ignore"], value.get("models", {})
    for texts, what in ((endpoints, "endpoints"), (models, "models")):
        if type(texts) is not dict or not all(type(text) is str for text in texts.values()):
            raise TypeError(f"its {what} are not texts by name")
    if type(prices) is not dict or not all(map(_is_price, prices.values())):
        raise TypeError("its prices are not decimal texts by model")
    if type(ignore) is not list or not all(type(words) is str for words in ignore):
        raise TypeError("what it ignores is not a list of texts")
    if type(value["key_version"]) is not int or type(value["format"]) is not int:
        raise TypeError("its versions are no numbers")
    return Metadata(endpoints, prices, tuple(ignore), value["key_version"], value["format"], models)


def _is_price(price: Any) -> bool:
    if type(price) is not dict:
        return False
    amounts = [amount for name, amount in price.items() if amount is not None and name != PRICE_SOURCE]
    if type(price.get(PRICE_SOURCE, "")) is not str:
        return False
    return all(type(amount) in (str, int) and isfinite(float(amount)) for amount in amounts)


def _plain(value: Any) -> Any:
    """Return JSON values with sorted members and every float as its shortest decimal text."""
    match value:
        case float():
            return repr(value)
        case str() | int() | None:
            return value
        case Mapping():
            return {str(name): _plain(value[name]) for name in sorted(value)}
        case list() | tuple():
            return [_plain(item) for item in value]
    if hasattr(value, "as_tuple"):  # a Decimal
        return str(value)
    raise InternalError(f"{type(value).__name__} cannot be stored in a cassette's metadata", fix="report this")
