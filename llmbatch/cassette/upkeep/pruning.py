"""Taking out of a cassette what an experiment no longer asks for. Knows keys that are asked, and no experiment.

Nothing is lost: what goes is first whole in a folder beside, itself a cassette, and on the disk; then each file is
replaced by one without it. Killed at any point, every line is in one of the two folders, or in both.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

from llmbatch.cassette.aliases import ALIASES_FILE, read_aliases
from llmbatch.cassette.segment import (
    SEGMENT,
    SegmentName,
    complete_generations_of,
    lines_after,
    open_for_reading,
    read_header,
)
from llmbatch.cassette.tails import cut_torn_tails
from llmbatch.cassette.upkeep.digests import Digests
from llmbatch.cassette.upkeep.walk import RecordedLine, decoded, lines_of, title_of
from llmbatch.errors import DiskError

Reason = str
_BESIDE = ".pruning"


class Share(NamedTuple):
    """How much of something: answers, failed attempts, and the bytes of both."""

    answers: int = 0
    attempts: int = 0
    bytes: int = 0

    def plus(self, line: RecordedLine) -> Share:
        """Return the share with one line more."""
        is_answer = line.file.kind == SEGMENT
        return Share(self.answers + is_answer, self.attempts + (not is_answer), self.bytes + len(line.text))


NOTHING = Share()


@dataclass(slots=True)
class Survey:
    """What stays and what would go; the latter also by variant and reason."""

    stays: Share = NOTHING
    goes: Share = NOTHING
    by_reason: dict[tuple[str, Reason], Share] = field(default_factory=dict)


def unasked(folder: Path, asked: Digests) -> Iterator[RecordedLine]:
    """Yield the lines whose key is not asked, failures and duplicates of such keys included."""
    return (line for line in lines_of(folder) if bytes.fromhex(line.key.decode()) not in asked)


def survey_of(folder: Path, asked: Digests, reason_of: Callable[[RecordedLine], Reason]) -> Survey:
    """Count what stays and what would go. Writes nothing. Raises CassetteDamaged."""
    found = Survey()
    for line in lines_of(folder):
        if bytes.fromhex(line.key.decode()) in asked:
            found.stays = found.stays.plus(line)
            continue
        decoded(folder, line)  # what is damaged may be asked for under another key than it now shows
        found.goes = found.goes.plus(line)
        name = (title_of(line.case), reason_of(line))
        found.by_reason[name] = found.by_reason.get(name, NOTHING).plus(line)
    return found


def prune(folder: Path, asked: Digests, *, aside: Path | None) -> None:
    """Take out the lines whose key is not asked, and put them into the new folder `aside` (None: delete them).

    Only the holder of the folder's lock may do this. Files without such lines are not touched; the lines of the
    others keep their bytes and their order. Raises CassetteDamaged, DiskError.
    """
    cut_torn_tails(folder)
    for left in folder.glob(f"*{_BESIDE}"):  # by one that was killed
        left.unlink(missing_ok=True)
    names = dict.fromkeys(line.file for line in unasked(folder, asked))
    try:
        if aside is not None:
            _put_aside(folder, asked, list(names), aside)
        for name in names:
            _replace(folder, name, asked)
        _sync_folder(folder)
    except OSError as error:
        raise DiskError(
            f"the cassette could not be pruned to the end: {error.strerror or error}",
            file=str(error.filename or folder),
            state="each file is whole, and what left one is in the other folder" if aside else "each file is whole",
            fix="free space or make the folder writable, then run the same command again",
        ) from error


def folder_aside(folder: Path, day: str) -> Path:
    """Return a name beside the folder that is free: `<cassette>-pruned-<day>`."""
    stem = folder.resolve().name
    for number in range(1, 1000):
        path = folder.resolve().parent / f"{stem}-pruned-{day}{'' if number == 1 else f'-{number}'}"
        if not path.exists():
            return path
    raise DiskError(f"{folder} was pruned a thousand times on {day}", fix="move those folders elsewhere")


def _put_aside(folder: Path, asked: Digests, names: list[SegmentName], aside: Path) -> None:
    partial = aside.with_name(aside.name + _BESIDE)
    if partial.exists():  # of one that was killed before it changed anything
        shutil.rmtree(partial)
    partial.mkdir()
    for name in names:
        _write_part(folder / name.file, partial / name.file, lambda key: key not in asked)
    aliases = read_aliases(folder).payload()
    if aliases:  # else what is taken out would answer only those who ask at the recorded address
        with (partial / ALIASES_FILE).open("wb") as out:
            out.write(aliases)
            _sync(out)
    for generation in complete_generations_of(folder) - {0}:
        (partial / f"generation-{generation}.complete").touch()
    _sync_folder(partial)
    partial.rename(aside)
    _sync_folder(aside.parent)


def _replace(folder: Path, name: SegmentName, asked: Digests) -> None:
    path = folder / name.file
    beside = path.with_name(path.name + _BESIDE)
    try:
        if _write_part(path, beside, lambda key: key in asked):
            beside.replace(path)
        else:  # stock vcrpy cannot load a file that is a header and no interaction
            path.unlink()
    finally:
        beside.unlink(missing_ok=True)


def _write_part(source: Path, target: Path, wanted: Callable[[bytes], bool]) -> int:
    """Write the header and the lines that are wanted, on the disk when this returns; return how many lines."""
    written = 0
    with open_for_reading(source) as stream, target.open("wb") as out:
        header = read_header(source, stream)
        assert header is not None  # it has lines
        stream.seek(0)
        out.write(stream.read(header.end))
        for _, line in lines_after(source, stream, header.end):
            if wanted(bytes.fromhex(line[10:42].decode())):
                out.write(line)
                written += 1
        _sync(out)
    return written


def _sync(out: BinaryIO) -> None:
    out.flush()
    os.fsync(out.fileno())


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # Windows opens no folder
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
