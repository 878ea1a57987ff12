"""Run language models over large sets of samples, record every HTTP interaction, get tables to replay.

The public names, loaded when first used (PEP 562): importing llmbatch loads no library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmbatch.cassette.public import Cassette
    from llmbatch.errors import AnswerError, LlmbatchError
    from llmbatch.experiment.answer import Answer
    from llmbatch.experiment.ask import Ask, Model
    from llmbatch.experiment.fixtures import fixture
    from llmbatch.experiment.parameter import param, parametrize
    from llmbatch.experiment.words import Task, table, task
    from llmbatch.invocation.public import arun, run
    from llmbatch.invocation.result import Run

    __version__: str

__all__ = [
    "Answer",
    "AnswerError",
    "Ask",
    "Cassette",
    "LlmbatchError",
    "Model",
    "Run",
    "Task",
    "__version__",
    "arun",
    "fixture",
    "param",
    "parametrize",
    "run",
    "table",
    "task",
]

_ROOM_OF_NAME = {
    "Answer": "llmbatch.experiment.answer",
    "AnswerError": "llmbatch.errors",
    "Ask": "llmbatch.experiment.ask",
    "Cassette": "llmbatch.cassette.public",
    "LlmbatchError": "llmbatch.errors",
    "Model": "llmbatch.experiment.ask",
    "Run": "llmbatch.invocation.result",
    "Task": "llmbatch.experiment.words",
    "arun": "llmbatch.invocation.public",
    "fixture": "llmbatch.experiment.fixtures",
    "param": "llmbatch.experiment.parameter",
    "parametrize": "llmbatch.experiment.parameter",
    "run": "llmbatch.invocation.public",
    "table": "llmbatch.experiment.words",
    "task": "llmbatch.experiment.words",
}


if not TYPE_CHECKING:  # a checker that saw this would believe in every name

    def __getattr__(name: str) -> object:
        if name == "__version__":
            value: object = _version()
        elif name in _ROOM_OF_NAME:
            value = getattr(importlib.import_module(_ROOM_OF_NAME[name]), name)
        else:
            msg = f"module 'llmbatch' has no attribute {name!r}"
            raise AttributeError(msg)
        globals()[name] = value
        return value


def _version() -> str:
    from importlib import metadata  # noqa: PLC0415 - it reads the disk, and few ask

    try:
        return metadata.version("llmbatch")
    except metadata.PackageNotFoundError:  # a source tree on the path
        return "0+source"


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
