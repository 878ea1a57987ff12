"""Reading single lines of a cassette's files by place, from any thread. Knows no key and no index."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from llmbatch.cassette.index import Position
from llmbatch.cassette.line import BadLineError
from llmbatch.cassette.segment import SegmentName, damaged

_OPEN_FILES = 128  # 1,000,000 interactions are about 80 files; macOS allows a process 256
_READ_AHEAD_BYTES = 1 << 17  # a replay asks in the order of the recording, or nearly
# what was read ahead: the bytes, the number of their file, and where in it they begin and end
_NOTHING = (b"", 0, 0, 0)
_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


class Reader:
    """Lines of the files of one kind; at most 128 files are open at a time.

    Where a line follows the one before, what comes after it is read with it.
    """

    def __init__(self, folder: Path, kind: str) -> None:
        self._folder = folder
        self._kind = kind
        self._handles: dict[int, int] = {}
        self._lock = threading.Lock()
        self._ahead = _NOTHING

    def path(self, number: int) -> Path:
        """Return the file of that number."""
        return self._folder / SegmentName(self._kind, number).file

    def line(self, place: Position) -> bytes:
        """Return the bytes of one line. Raises CassetteDamaged when the file is gone or shorter by now."""
        text, at = self.held(place)
        return text[at : at + place[2]]

    def held(self, place: Position) -> tuple[bytes, int]:
        """Return bytes that hold one line, and where in them it begins. Raises CassetteDamaged as `line` does."""
        number, offset, length = place
        text, of, start, end = self._ahead  # in one step: another thread may put another there
        if of == number and start <= offset and offset + length <= end:
            return text, offset - start
        with self._lock:
            try:
                follows = of == number and end - _READ_AHEAD_BYTES <= offset <= end
                text = self._read(number, max(length, _READ_AHEAD_BYTES) if follows else length, offset)
            except OSError as error:
                raise self.damaged(place, error.strerror or str(error)) from error
            self._ahead = (text, number, offset, offset + len(text))
        if len(text) < length:
            raise self.damaged(place, "the file ends before it does")
        return text, 0

    def forget(self) -> None:
        """Read from the file again what was read ahead: it may be older than the place that is asked for."""
        self._ahead = _NOTHING

    def _read(self, number: int, length: int, offset: int) -> bytes:
        handle = self._handles.get(number)
        if handle is None:
            handle = self._open(number)
        text = _read_at(handle, length, offset)
        while len(text) < length and (more := _read_at(handle, length - len(text), offset + len(text))):
            text += more  # a network file system may give less than was asked for
        return text

    def damaged(self, place: Position, why: BadLineError | str) -> Exception:
        """Return the error for a line that is there and cannot be used."""
        return damaged(self.path(place[0]), place[1], why)

    def close(self) -> None:
        """Close all files."""
        with self._lock:
            self.forget()
            while self._handles:
                os.close(self._handles.popitem()[1])

    def _open(self, number: int) -> int:
        if len(self._handles) >= _OPEN_FILES:
            os.close(self._handles.pop(next(iter(self._handles))))
        handle = os.open(self.path(number), _FLAGS)
        self._handles[number] = handle
        return handle


if hasattr(os, "pread"):
    _read_at = os.pread

else:  # Windows; the reader's lock keeps seek and read together

    def _read_at(handle: int, length: int, offset: int) -> bytes:
        os.lseek(handle, offset, os.SEEK_SET)
        return os.read(handle, length)
