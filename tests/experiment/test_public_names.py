"""The top level: few names, loaded when they are used."""

import subprocess
import sys
from pathlib import Path

import pytest

import llmbatch

ROOT = Path(__file__).parents[2]
HEAVY = ("polars", "pydantic", "openai", "vcr", "rich", "aiohttp", "orjson")


def output_of(script: str) -> str:
    command = [sys.executable, "-c", script]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def test_importing_llmbatch_loads_no_library() -> None:
    """Start-up is for what the command needs; a word of an experiment file needs none of these either."""
    script = (
        "import sys, llmbatch\n"
        "llmbatch.task, llmbatch.table, llmbatch.fixture, llmbatch.parametrize, llmbatch.Answer\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )

    printed = output_of(script)

    assert printed == "[]"


def test_the_public_names_are_those_of_the_api_page() -> None:
    """Everything else is private or lives in a named room."""
    words = {"task", "parametrize", "param", "fixture", "table", "Task", "Ask", "Answer", "Model"}
    errors = {"AnswerError", "LlmbatchError"}
    programs = {"run", "arun", "Run", "Cassette"}

    assert words | errors | programs | {"__version__"} == set(llmbatch.__all__)
    assert set(llmbatch.__all__) <= set(dir(llmbatch))


@pytest.mark.parametrize("name", llmbatch.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """A name that is promised loads."""
    value = getattr(llmbatch, name)

    assert isinstance(value, str) if name == "__version__" else callable(value)


def test_no_room_has_the_name_of_a_public_word() -> None:
    """Python binds an imported submodule in its package, over whatever has that name there."""
    rooms = {path.stem for path in Path(llmbatch.__file__).parent.iterdir()}

    assert rooms.isdisjoint(llmbatch.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As in any module."""
    with pytest.raises(AttributeError, match="taks"):
        llmbatch.taks  # type: ignore[attr-defined]  # noqa: B018
