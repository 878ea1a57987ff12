"""One run writes a cassette at a time: a lock file that names its holder. Knows no segment.

Made with O_EXCL, which works on every file system and system, NFS included. A holder that was killed
leaves the file behind; it is taken over when the same host and boot show that the process is gone.
"""

from __future__ import annotations

import ctypes
import logging
import os
import secrets
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import orjson

from llmbatch.cassette.disk import disk_error
from llmbatch.errors import CassetteLocked

LOCK_FILE = ".lock"

_log = logging.getLogger(__name__)
_DRAFT = f"{LOCK_FILE}.draft-"
_held_here: set[str] = set()
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_UNWRITABLE = "the cassette's lock cannot be written"
_ATTEMPTS = 20
_UNREADABLE_WAIT_SECONDS = 0.01


class Lock:
    """The right to write one folder, from `take` to `release`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOCK_FILE
        self.token = secrets.token_hex(16)
        self._text = b""

    def take(self) -> Self:
        """Take the lock. Raises CassetteLocked, which names the holder, and DiskError.

        `token` is in the lock file: who knows it may add files for this run (`JoinedLock`).
        """
        text = orjson.dumps(
            {**this_process(), "started": datetime.now(UTC).isoformat(timespec="seconds"), "token": self.token}
        )
        for _ in range(_ATTEMPTS):
            if self._create(text):
                self._text = text
                _held_here.add(self._name())
                return self
            there = self._read()
            if there is None:
                continue  # released meanwhile
            holder = _parsed(there)
            if holder is None:  # its holder is between making and writing it, or was killed there
                time.sleep(_UNREADABLE_WAIT_SECONDS)
                continue
            if not self._is_stale(holder):
                raise self._locked(holder)
            self._set_aside(there, holder)
        raise self._locked({})

    def release(self) -> None:
        """Give the lock back; one that somebody else has taken over is left alone."""
        if not self._text:
            return
        _held_here.discard(self._name())
        with suppress(OSError):
            if self.path.read_bytes() == self._text:
                self.path.unlink()
        self._text = b""

    def _name(self) -> str:
        return str(self.path.resolve())

    def _create(self, text: bytes) -> bool:
        """Make the lock, whole or not at all; False where there is one.

        It is written under a name of its own and linked to its place, which is one step: a process that is killed
        leaves no lock that does not say whose it is.
        """
        draft = self.path.with_name(f"{_DRAFT}{self.token}")
        _write_new(draft, text)
        try:
            os.link(draft, self.path)
        except FileExistsError:
            return False
        except FileNotFoundError:  # somebody who holds the lock by now has cleared the draft away
            return False
        except OSError:  # a file system without links
            return self._create_in_place(text)
        finally:
            _remove(draft)
        for left in self.path.parent.glob(f"{_DRAFT}*"):  # of killed processes
            _remove(left)
        return True

    def _create_in_place(self, text: bytes) -> bool:
        try:
            _write_new(self.path, text)
        except FileExistsError:
            return False
        return True

    def _read(self) -> bytes | None:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise disk_error(_UNWRITABLE, self.path, error) from error

    def _is_stale(self, holder: Mapping[str, Any]) -> bool:
        if not is_of_this_boot(holder):
            return False
        pid = holder.get("pid")
        if pid == os.getpid():  # our own number, as a restarted container gives it, and yet not we
            return self._name() not in _held_here
        return isinstance(pid, int) and not _is_alive(pid)

    def _set_aside(self, text: bytes, holder: Mapping[str, Any]) -> None:
        """Move a stale lock away; put it back if another run was quicker and it is no longer that one."""
        aside = self.path.with_name(f"{LOCK_FILE}.{os.getpid()}")
        with suppress(OSError):
            self.path.replace(aside)
            if aside.read_bytes() != text:
                aside.replace(self.path)
                return
            aside.unlink()
            _log.warning("%s: took over the lock of process %s, which is gone", self.path, holder.get("pid"))

    def _locked(self, holder: Mapping[str, Any]) -> CassetteLocked:
        pid, host = holder.get("pid"), holder.get("host")
        if not holder:
            what, why = "another run may be writing this cassette", "its lock file does not say which"
            fix = f"if no run is writing it, delete {self.path}"
        elif host != socket.gethostname():
            what = f"process {pid} on host {host} is writing this cassette"
            why = "whether a process on another host still runs cannot be seen from here"
            fix = f"let it end; if it is gone, delete {self.path}"
        elif holder.get("boot_id") != _boot_id():
            what = f"process {pid} on host {host} was writing this cassette"
            why = "the lock is from before this host was started, or from another host of that name"
            fix = f"if no run is writing it, delete {self.path}"
        else:
            what = f"process {pid} on this host ({host}) is writing this cassette"
            why = "one run writes a cassette at a time; `--offline` reads it all the same"
            fix = f"let it end; if process {pid} is no llmbatch, delete {self.path}"
        return CassetteLocked(what, lock=str(self.path), since=str(holder.get("started", "?")), why=why, fix=fix)


def _write_new(path: Path, text: bytes) -> None:
    """Write a file that is not there yet. Raises FileExistsError and DiskError, and then it is not left behind."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        raise
    except OSError as error:
        raise disk_error(_UNWRITABLE, path, error) from error
    problem: OSError | str | None = None
    try:
        if os.write(handle, text) != len(text):
            problem = "its text did not fit"
    except OSError as error:
        problem = error
    finally:
        os.close(handle)
    if problem is None:
        return
    _remove(path)  # a lock that says nothing would be respected for ever
    raise disk_error(_UNWRITABLE, path, problem)


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def this_process() -> dict[str, Any]:
    """Return what tells this process from others: its number, its host, and which start of that host it is of."""
    return {"pid": os.getpid(), "host": socket.gethostname(), "boot_id": _boot_id()}


def is_of_this_boot(process: Mapping[str, Any]) -> bool:
    """Whether a process, as `this_process` told it, is or was of this host since its last start."""
    return process.get("host") == socket.gethostname() and process.get("boot_id") == _boot_id()


def still_runs(process: Mapping[str, Any]) -> bool:
    """Whether a process, as `this_process` told it, can be seen to run: on this host, since its last start."""
    pid = process.get("pid")
    return is_of_this_boot(process) and isinstance(pid, int) and _is_alive(pid)


def _parsed(text: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) and value else None


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _is_alive(pid: int) -> bool:
    if pid <= 0:
        return False
    if sys.platform == "win32":
        return _is_alive_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it runs, under another user
        return True
    return True


def _is_alive_on_windows(pid: int) -> bool:
    # os.kill(pid, 0) would end the process there
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009  # the attribute is there on Windows only
    query_limited_information, still_active = 0x1000, 259
    handle = kernel.OpenProcess(query_limited_information, False, pid)
    if not handle:
        return False
    code = ctypes.c_ulong()
    kernel.GetExitCodeProcess(handle, ctypes.byref(code))
    kernel.CloseHandle(handle)
    return code.value == still_active
