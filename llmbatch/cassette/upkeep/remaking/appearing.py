"""A folder that is there whole or not at all: made beside its place, synced, then renamed. Knows no cassette.

The workshop is a hidden folder beside the target, `.NAME.making`, with a lock of its own. What a killed command
left in it is thrown away by the next one for the same target.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from llmbatch.cassette.disk import disk_error, sync_folder
from llmbatch.cassette.lock import LOCK_FILE, Lock
from llmbatch.errors import DiskError, LlmbatchError, UsageError


@contextmanager
def appearing(target: Path, sources: Sequence[Path] = ()) -> Iterator[Path]:
    """Yield an empty folder that becomes `target` when the block ends, and nothing when it raises.

    Raises UsageError when the target is there already, or is one of the sources or inside of one; CassetteLocked
    when another process is making it; DiskError.
    """
    target = target.resolve() if target.name in {"", ".."} else target.absolute()
    _check_apart(target, sources)
    if not target.name:
        _check_free(target)  # the root of a disk has no place beside it
    workshop = target.with_name(f".{target.name}.making")
    making = workshop / "folder"
    try:
        workshop.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(workshop, error) from error
    lock = Lock(workshop)
    try:
        lock.take()
    except LlmbatchError:
        with suppress(OSError):
            workshop.rmdir()  # not while another process has its lock in there
        raise
    try:
        _clear(workshop)
        _check_free(target)
        try:
            making.mkdir()
        except OSError as error:
            raise _unwritable(making, error) from error
        yield making
        _put_in_place(making, target)
    finally:
        with suppress(OSError):
            _clear(workshop)
        lock.release()
        with suppress(OSError):
            workshop.rmdir()


def _check_apart(target: Path, sources: Sequence[Path]) -> None:
    place = target.resolve()
    for source in sources:
        if place == source.resolve() or source.resolve() in place.parents:
            raise UsageError(
                f"{target} is the cassette {source}, or lies inside of it",
                fix="name another folder with --into; once it is there, the old one can be moved away",
            )


def _check_free(target: Path) -> None:
    there = target.is_symlink() or (target.exists() and not target.is_dir())
    if there or (target.is_dir() and any(target.iterdir())):
        raise UsageError(
            f"{target} is there already, and nothing is written over it",
            fix="name a folder with --into that is not there yet",
        )


def _put_in_place(making: Path, target: Path) -> None:
    try:
        for folder in (*(path for path in making.rglob("*") if path.is_dir()), making):
            sync_folder(folder)
        if target.is_dir():
            target.rmdir()  # empty, and Windows renames onto nothing that is there
        making.rename(target)
        sync_folder(target.parent)
    except OSError as error:
        raise _unwritable(target, error) from error


def _clear(workshop: Path) -> None:
    """Throw away all but the lock: this folder's maker is the only one who has business here."""
    for left in workshop.iterdir():
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
        elif left.name != LOCK_FILE:
            left.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> DiskError:
    return disk_error(
        "the new folder cannot be written",
        path,
        error,
        fix="free space there or choose another place with --into; the sources are as they were",
    )
