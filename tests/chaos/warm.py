"""The real command line in a process of its own that has everything imported: forked from one that only imports.

A process is what dies by a kill or meets a limit; but to start Python and import polars for each of thousands would
take most of their time.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

_PRELOADED = ["llmbatch.cli.exp", "llmbatch.invocation.live", "llmbatch.tables.write", "polars", "tests.chaos.warm"]


def start(root: Path, environ: Mapping[str, str], *arguments: str, largest_file: int | None = None) -> BaseProcess:
    """Start `llmbatch ARGUMENTS` in a folder; what it prints goes to `said.txt` there."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    process = context.Process(target=_run, args=(root, dict(environ), arguments, largest_file))
    process.start()
    return process


def _run(root: Path, environ: dict[str, str], arguments: Sequence[str], largest_file: int | None) -> None:
    from llmbatch.cli import main

    os.chdir(root)
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMP", "TEMP") if name in os.environ}
    os.environ.clear()
    os.environ.update(kept | environ)
    said = os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o666)
    os.dup2(said, 1)
    os.dup2(said, 2)
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    sys.exit(main(list(arguments)))
