"""A disk that fails, or a process that dies, at the n-th call that changes a folder.

`Disk` stands between the `os` functions (and the files that `open` makes for writing) and one folder, whatever code
calls them: it lists what they do there, and at chosen moments makes one fail as a broken disk does. Other paths pass.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple
from unittest.mock import patch

SYNC_FOLDER = "sync folder"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Step(NamedTuple):
    """One call: what it does, and the name of the file inside the folder (`.` is the folder itself)."""

    operation: str
    name: str


Fault = Callable[[int, Step], int | None]
"""From the number of a call (from 1) and the call to an errno, to SHORT, or to None where it may pass."""

SHORT = -1
"""A write that takes half of the bytes and calls it no error, as the first one at a limit does."""


class Disk:
    """A context manager: within it, calls that change `folder` go through `fault`; `steps` lists them.

    `after` is called when a call has passed.
    """

    def __init__(
        self,
        folder: Path,
        fault: Fault = lambda number, step: None,
        after: Callable[[int, Step], None] = lambda number, step: None,
    ) -> None:
        self.folder = folder.resolve()
        self.steps: list[Step] = []
        self._fault = fault
        self._after = after
        self._handles: dict[int, str] = {}
        self._real = {name: getattr(os, name) for name in _PATCHED}
        self._real_open = io.open
        self._patches = [patch.object(os, name, getattr(self, f"_{name}")) for name in _PATCHED]
        self._patches += [patch.object(module, "open", self._open_stream) for module in (io, builtins)]

    def __enter__(self) -> Disk:
        for each in self._patches:
            each.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in reversed(self._patches):
            each.stop()

    def _inside(self, path: Any) -> str | None:
        if isinstance(path, int):
            return self._handles.get(path)
        path = Path(path)
        path = path.parent.resolve() / path.name  # a link itself is not followed: it may be what is changed
        return path.relative_to(self.folder).as_posix() if path.is_relative_to(self.folder) else None

    def _step(self, operation: str, name: str) -> tuple[int, Step]:
        step = Step(operation, name)
        self.steps.append(step)
        return len(self.steps), step

    def _do(self, operation: str, name: str | None, call: Callable[[], Any]) -> Any:
        if name is None:
            return call()
        number, step = self._step(operation, name)
        code = self._fault(number, step)
        if code is not None and code != SHORT:
            raise OSError(code, os.strerror(code), name)
        result = call()
        self._after(number, step)
        return result

    def _open(self, path: Any, flags: int, mode: int = 0o777, **options: Any) -> int:
        def call() -> int:
            handle: int = self._real["open"](path, flags, mode, **options)
            return handle

        name = self._inside(path)
        changes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        handle: int = self._do("create", name, call) if changes else call()
        self.forget(handle)
        if name is not None:
            self._handles[handle] = name
        return handle

    def forget(self, handle: int) -> None:
        """Take note that a handle is closed: the system gives its number to other files."""
        self._handles.pop(handle, None)

    def _close(self, handle: int) -> None:
        self.forget(handle)
        self._real["close"](handle)

    def _write(self, handle: int, data: bytes) -> int:
        name = self._inside(handle)
        if name is None:
            return int(self._real["write"](handle, data))
        number, step = self._step("write", name)
        code = self._fault(number, step)
        if code is not None and code != SHORT:
            raise OSError(code, os.strerror(code))
        written = int(self._real["write"](handle, data[: len(data) // 2] if code == SHORT else data))
        self._after(number, step)
        return written

    def _fsync(self, handle: int) -> None:
        name = self._inside(handle)
        of_folder = name is not None and (self.folder / name).is_dir()
        self._do(SYNC_FOLDER if of_folder else "sync", name, lambda: self._real["fsync"](handle))

    def _ftruncate(self, handle: int, length: int) -> None:
        self._do("truncate", self._inside(handle), lambda: self._real["ftruncate"](handle, length))

    def _truncate(self, path: Any, length: int) -> None:
        self._do("truncate", self._inside(path), lambda: self._real["truncate"](path, length))

    def _rename(self, source: Any, target: Any, **options: Any) -> None:
        self._do("rename", self._inside(target), lambda: self._real["rename"](source, target, **options))

    def _replace(self, source: Any, target: Any, **options: Any) -> None:
        self._do("rename", self._inside(target), lambda: self._real["replace"](source, target, **options))

    def _unlink(self, path: Any, **options: Any) -> None:
        self._do("remove", self._inside(path), lambda: self._real["unlink"](path, **options))

    def _mkdir(self, path: Any, mode: int = 0o777, **options: Any) -> None:
        self._do("make folder", self._inside(path), lambda: self._real["mkdir"](path, mode, **options))

    def _open_stream(self, file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        """Open a file for writing so that its bytes pass `os.write`; for reading as ever."""
        if isinstance(file, int) or not set(mode) & set("wax+") or self._inside(file) is None:
            return self._real_open(file, mode, *arguments, **options)
        flags = {"w": os.O_CREAT | os.O_TRUNC, "a": os.O_CREAT | os.O_APPEND, "x": os.O_CREAT | os.O_EXCL, "r": 0}
        handle = self._open(file, flags[next(c for c in mode if c in flags)] | os.O_RDWR, 0o666)
        raw = _File(handle, "r+" if "+" in mode or "r" in mode else "w")
        raw.disk = self
        options |= dict(zip(("buffering", "encoding", "errors", "newline"), arguments, strict=False))
        buffering = options.pop("buffering", -1)
        if "b" in mode:
            return raw if buffering == 0 else io.BufferedWriter(raw)
        return io.TextIOWrapper(io.BufferedWriter(raw), **options)


class _File(io.FileIO):
    disk: Disk

    def write(self, data: Any) -> int:
        return self.disk._write(self.fileno(), bytes(data))

    def close(self) -> None:
        if not self.closed:
            self.disk.forget(self.fileno())
        super().close()


_PATCHED = ("open", "close", "write", "fsync", "ftruncate", "truncate", "rename", "replace", "unlink", "mkdir")
