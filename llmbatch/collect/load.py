"""Importing an experiment file as a module of its own. Knows nothing of tasks.

While it is imported its folder is importable too, as for a script, so that modules beside it are found.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
)
from pathlib import Path
from types import ModuleType, TracebackType

from llmbatch.errors import AuthorError, TaskError
from llmbatch.experiment.place import place_of

_IMPORTING = threading.RLock()  # sys.path and sys.modules belong to the whole process
_modules_beside: set[str] = set()


class _FreshLoader(SourceFileLoader):
    """Always compiles: a cached file is trusted by its time in seconds, and a file can change within one."""

    def path_stats(self, path: object) -> dict[str, object]:
        raise OSError


def load(path: Path, name: str) -> ModuleType:
    """Import the file and return its module, anew each time.

    `name` is the experiment's: the module is named after it and not after the folder it lies in, because
    module names can reach a JSON schema and so a request. Raises TaskError naming the line that failed;
    errors of llmbatch pass, with that line as their place if they had none.
    """
    module_name = "llmbatch_experiment_" + re.sub(r"\W", "_", name)
    loader = _FreshLoader(module_name, str(path))
    spec = importlib.util.spec_from_file_location(module_name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    with _IMPORTING, _importable(path.parent):
        earlier = sys.modules.get(module_name)
        sys.modules[module_name] = module  # dataclasses and pydantic look their module up there
        try:
            loader.exec_module(module)
        except BaseException as error:
            sys.modules.pop(module_name)
            if earlier is not None:
                sys.modules[module_name] = earlier
            _explain(error, path)
            raise
    return module


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Put the folder on the path; modules found in it are forgotten before the next import.

    So an edited module beside the experiment is read again, and two folders may each have a `common.py`.
    """
    for name in _modules_beside:
        sys.modules.pop(name, None)
    _modules_beside.clear()
    importlib.invalidate_caches()
    before = set(sys.modules)
    entry = str(folder)

    def find_fresh(place: str) -> FileFinder:
        if place != entry:  # below it may be an environment with all its libraries
            raise ImportError
        return FileFinder(place, (ExtensionFileLoader, EXTENSION_SUFFIXES), (_FreshLoader, SOURCE_SUFFIXES))

    sys.path.insert(0, entry)
    sys.path_hooks.insert(0, find_fresh)
    sys.path_importer_cache.pop(entry, None)
    try:
        yield
    finally:
        if entry in sys.path:
            sys.path.remove(entry)
        sys.path_hooks.remove(find_fresh)
        sys.path_importer_cache.pop(entry, None)
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file is not None and Path(file).is_relative_to(folder) and "site-packages" not in Path(file).parts:
                _modules_beside.add(name)


def _explain(error: BaseException, path: Path) -> None:
    """Raise what the author should read in place of the error; return where the error itself is that."""
    place = _place(error, path)
    if isinstance(error, AuthorError):
        error.place = error.place or place
        return
    if isinstance(error, Exception | SystemExit):
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        raise TaskError(
            f"{path.name} cannot be imported: {type(error).__name__}: {said}",
            place=place,
            fix=_fix(error),
        ) from error


def _fix(error: BaseException) -> str:
    match error:
        case SyntaxError():
            return f"correct the line: {(error.text or '').strip()}" if error.text else "correct the line"
        case ModuleNotFoundError():
            return f"install the package of `{error.name}` in this environment, or correct its name"
        case SystemExit():
            return "an experiment file is imported: put what ends the process under `if __name__ == '__main__':`"
        case _:
            return "correct the line; the file must import without a run"


def _place(error: BaseException, path: Path) -> str:
    """Return the last line of the author's own files that the error passed through."""
    if isinstance(error, SyntaxError) and error.filename is not None and error.lineno is not None:
        return place_of(error.filename, error.lineno)
    own = [frame for frame in _frames(error.__traceback__) if Path(frame[0]).is_relative_to(path.parent)]
    return place_of(*own[-1]) if own else place_of(path, 1)


def _frames(trace: TracebackType | None) -> Iterator[tuple[str, int]]:
    for frame, line in traceback.walk_tb(trace):
        yield frame.f_code.co_filename, line
