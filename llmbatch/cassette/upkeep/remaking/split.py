"""One cassette cut into several, each a cassette of its own: by model, endpoint or task, or by size.

The aliases are in every part. Whatever the cut, merging the parts gives the bytes that merging the whole gives.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Literal

from llmbatch.cassette.case import PROBE
from llmbatch.cassette.line import Decoded, decode
from llmbatch.cassette.segment import Metadata, header_bytes
from llmbatch.cassette.upkeep.addressee import endpoint_of, model_of
from llmbatch.cassette.upkeep.alias import merge_aliases
from llmbatch.cassette.upkeep.remaking.appearing import appearing
from llmbatch.cassette.upkeep.remaking.arranging import Conflict, Shelf, arrange
from llmbatch.cassette.upkeep.remaking.gathering import Gathered
from llmbatch.cassette.upkeep.remaking.generations import complete_of_all
from llmbatch.cassette.upkeep.remaking.merge import Summary, summary_of
from llmbatch.cassette.upkeep.remaking.writing import SEGMENT_BYTES, write_cassette
from llmbatch.errors import UsageError

By = Literal["model", "endpoint", "task"]

NOTHING = "_none"
"""The part of lines that have no model, no endpoint or no case."""

_PLAIN = re.compile(r"[a-z0-9][a-z0-9._-]{0,60}(?<!\.)")
_UNSAFE = re.compile(r"[^a-z0-9-]+")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


@dataclass(frozen=True, slots=True)
class Part:
    """One of the cassettes that came out, by the name of its folder."""

    name: str
    summary: Summary


def split(
    source: Path,
    target: Path,
    on_conflict: Callable[[Conflict], None],
    *,
    by: By | None = None,
    max_bytes: int = 0,
    segment_bytes: int = SEGMENT_BYTES,
) -> list[Part]:
    """Make `target` a folder of cassettes, one for each value of `by`, or each of at most `max_bytes`.

    Raises UsageError when the target is there or a single line does not fit; CassetteDamaged, CassetteLocked
    and DiskError.
    """
    with appearing(target, [source]) as folder, closing(Gathered()) as lines:
        lines.add(source)
        complete = complete_of_all(lines.complete, lines.generations)
        shelves = arrange(lines, on_conflict).shelves
        aliases = merge_aliases([source])
        if by is None:
            parts = _by_size(lines, shelves, max_bytes, segment_bytes, len(aliases))
        else:
            parts = _by_value(lines, shelves, by)
        found = []
        for name, cut in sorted(parts.items()):
            place = folder / name
            place.mkdir()
            write_cassette(place, cut, complete, lines.read, aliases=aliases, segment_bytes=segment_bytes)
            found.append(Part(name, summary_of(place)))
        return found


def value_of(found: Decoded, metadata: Metadata, by: By) -> str:
    """Return the model, the endpoint's name (or its host, where no name is recorded) or the task of a line."""
    match by:
        case "model":
            return model_of(found.call.request.body) or ""
        case "task":
            return re.split(r"\[|::", found.case or "", maxsplit=1)[0]
        case "endpoint":
            name, base_url = endpoint_of(found.call.request.url, metadata)
            return name or base_url.partition("//")[2]


def folder_name(value: str) -> str:
    """Return a name that any file system takes and that differs for different values, whatever their case."""
    if not value:
        return NOTHING
    if _PLAIN.fullmatch(value) and not _DEVICES.fullmatch(value):
        return value
    digest = blake2b(value.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{_UNSAFE.sub('-', value.lower())[:60].strip('-')}-{digest}".lstrip("-")


def _by_value(lines: Gathered, shelves: list[Shelf], by: By) -> dict[str, list[Shelf]]:
    """Cut by value. Probes of models are of no task, and in the part of each: they decide how its cases ask."""
    valued = [[value_of(decode(lines.read(entry)), shelf.metadata, by) for entry in shelf.entries] for shelf in shelves]
    of_all = {value for values in valued for value in values}
    whole = {value for value in of_all if by != "task" or not value.startswith(PROBE)} or of_all
    parts: dict[str, list[Shelf]] = {}
    for shelf, values in zip(shelves, valued, strict=True):
        cut: dict[str, list[bytes]] = {}
        for entry, value in zip(shelf.entries, values, strict=True):
            for wanted in (value,) if value in whole else whole:
                cut.setdefault(wanted, []).append(entry)
        for value, entries in cut.items():
            parts.setdefault(folder_name(value), []).append(Shelf(shelf.kind, shelf.metadata, entries))
    return parts


def _by_size(
    lines: Gathered, shelves: list[Shelf], max_bytes: int, segment_bytes: int, each_bytes: int
) -> dict[str, list[Shelf]]:
    """Cut the canonical order into pieces, counting what is written: headers, and `each_bytes` in every part."""
    parts: list[list[Shelf]] = []
    part_bytes = 0
    for shelf in shelves:
        header, file_bytes = len(header_bytes(shelf.metadata)), 0
        for entry in shelf.entries:
            length = len(lines.read(entry))
            opens = file_bytes == 0 or file_bytes + length > segment_bytes
            added = length + (header if opens else 0)
            if not parts or part_bytes + added > max_bytes:
                fewest = each_bytes + header + length
                if fewest > max_bytes:
                    raise UsageError(
                        f"one line and what its part has beside are {fewest:,} bytes: {lines.where(entry)}",
                        fix=f"give --max-bytes at least {fewest}",
                    )
                parts.append([])
                part_bytes, opens, added = each_bytes, True, header + length
            if not parts[-1] or file_bytes == 0:
                parts[-1].append(Shelf(shelf.kind, shelf.metadata, []))
            parts[-1][-1].entries.append(entry)
            file_bytes = added if opens else file_bytes + added
            part_bytes += added
    return {f"part-{number:05d}": part for number, part in enumerate(parts, 1)}
