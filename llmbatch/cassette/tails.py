"""Cutting off what a killed writer left half-written. Knows no key and no index."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from llmbatch.cassette.disk import disk_error
from llmbatch.cassette.segment import read_header, segments_of

_log = logging.getLogger(__name__)
_TAIL_BYTES = 1 << 16


def cut_torn_tails(folder: Path) -> None:
    """Cut off what follows the last newline of each file, and a header without interactions.

    Each cut is logged as a warning with file and bytes. Only the holder of the lock may do this.
    Raises CassetteDamaged and DiskError.
    """
    for name in segments_of(folder):
        path = folder / name.file
        try:
            _cut_torn_tail(path)
        except OSError as error:
            raise disk_error("a half-written line cannot be cut off", path, error) from error


def _cut_torn_tail(path: Path) -> None:
    size = path.stat().st_size
    end = _end_of_whole_lines(path, size)
    if end < size:
        os.truncate(path, end)
        _log.warning("%s: cut off %d bytes of a line that was not written to its end", path, size - end)


def _end_of_whole_lines(path: Path, size: int) -> int:
    with path.open("rb") as stream:
        end = size
        while end > 0:
            start = max(0, end - _TAIL_BYTES)
            stream.seek(start)
            newline = stream.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end > 0:
            stream.seek(0)
            header = read_header(path, stream)
            if header is None or header.end >= end:
                return 0
    return end
