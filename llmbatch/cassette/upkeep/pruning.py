"""Taking out of a cassette what an experiment no longer asks for. Knows keys that are asked, and no experiment.

Nothing is lost: what goes is first whole in a folder beside, itself a cassette, and on the disk; then each file is
replaced by one without it. Killed at any point, every line is in one of the two folders, or in both.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from llmbatch.cassette.aliases import ALIASES_FILE, read_aliases
from llmbatch.cassette.disk import disk_error, sync_folder
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
from llmbatch.cassette.upkeep.synced import SyncedFile, remove_unfinished, replacing
from llmbatch.cassette.upkeep.walk import RecordedLine, decoded, lines_of, title_of
from llmbatch.errors import DiskError

Reason = str


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
    losing: dict[SegmentName, None] = {}
    keeping = set()
    for line in lines_of(folder):
        if bytes.fromhex(line.key.decode()) in asked:
            keeping.add(line.file)
        else:
            losing[line.file] = None
    try:
        remove_unfinished(folder)
        if aside is not None:
            _put_aside(folder, asked, list(losing), aside)
        for name in losing:
            path = folder / name.file
            if name in keeping:
                with replacing(path) as file:
                    _copy(path, file, lambda key: key in asked)
            else:  # stock vcrpy cannot load a file that is a header and no interaction
                path.unlink()
        sync_folder(folder)
    except OSError as error:
        raise disk_error(
            "the cassette could not be pruned to the end",
            Path(error.filename or folder),
            error,
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
    partial = aside.with_name(f"{aside.name}.pruning")
    if partial.exists():  # of one that was killed before it changed anything
        shutil.rmtree(partial)
    partial.mkdir()
    for name in names:
        with closing(SyncedFile(partial / name.file)) as file:
            _copy(folder / name.file, file, lambda key: key not in asked)
    aliases = read_aliases(folder).payload()
    if aliases:  # else what is taken out would answer only those who ask at the recorded address
        with closing(SyncedFile(partial / ALIASES_FILE)) as file:
            file.write(aliases)
    for generation in complete_generations_of(folder) - {0}:
        (partial / f"generation-{generation}.complete").touch()
    sync_folder(partial)
    partial.rename(aside)
    sync_folder(aside.parent)


def _copy(source: Path, target: SyncedFile, wanted: Callable[[bytes], bool]) -> None:
    """Write the header and the lines that are wanted."""
    with open_for_reading(source) as stream:
        header = read_header(source, stream)
        assert header is not None  # it has lines
        stream.seek(0)
        target.write(stream.read(header.end))
        for _, line in lines_after(source, stream, header.end):
            if wanted(bytes.fromhex(line[10:42].decode())):
                target.write(line)
