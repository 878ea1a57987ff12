"""Putting files and their names on the medium, and the words for what a disk refuses. Knows no line and no lock."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from llmbatch.errors import DiskError

_FULL = frozenset(getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG") if hasattr(errno, name))
_CLOSED = frozenset((errno.EACCES, errno.EPERM, errno.EROFS))
_NO_FOLDER_SYNC = frozenset((errno.EINVAL, errno.ENOTSUP, errno.EBADF))
_BINARY = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def disk_error(what: str, path: Path, why: OSError | str, *, fix: str = "", **details: str) -> DiskError:
    """Return the error for a file that the disk did not take, with the fix that its reason asks for in a recording.

    `why` as text is a reason without an error of the system: a line that did not fit.
    """
    said = why if isinstance(why, str) else why.strerror or str(why)
    code = None if isinstance(why, str) else why.errno
    return DiskError(f"{what}: {said}", file=str(path), **details, fix=fix or _fix_of_recording(code))


def _fix_of_recording(code: int | None) -> str:
    if code is None or code in _FULL:
        return "free space on that disk and run the same command again: what was recorded stays recorded"
    if code in _CLOSED:
        return "make the folder writable, or replay what is recorded with --offline"
    return "check the disk, then `llmbatch cassette verify`; --offline replays what is recorded"


def lost_by_the_disk(path: Path, why: OSError, **details: str) -> DiskError:
    """Return the error for a sync that failed: the system took the lines, and the medium may not have them."""
    return DiskError(
        f"the disk did not take what was written: {why.strerror or why}",
        file=str(path),
        **details,
        fix="check the disk, then `llmbatch cassette verify` before going on",
    )


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, and put their names on the medium. Raises DiskError."""
    try:
        missing = [each for each in (folder, *folder.parents) if not each.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for each in missing:
            sync_folder(each.parent)
    except OSError as error:
        raise disk_error("the cassette cannot be written", folder, error) from error


def make_empty_file(path: Path) -> None:
    """Make an empty file and put it on the medium, its name included. Raises DiskError."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | _BINARY, 0o644)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        sync_folder(path.parent)
    except OSError as error:
        raise disk_error("the cassette cannot be written", path, error) from error


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on the medium, where the system has that (Windows has not). Raises OSError."""
    directory = getattr(os, "O_DIRECTORY", None)
    if directory is None:
        return
    handle = os.open(folder, os.O_RDONLY | directory | _BINARY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:  # some network file systems sync files only
            raise
    finally:
        os.close(handle)
