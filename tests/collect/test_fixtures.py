"""What a fixture may take, found out before a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmbatch.collect import collect
from llmbatch.errors import TaskError
from llmbatch.experiment.fixtures import fixture

HEAD = """
from llmbatch import fixture, parametrize, task

@task(samples=[{"id": "a"}], id="id")
async def say(sample, ask, pool): ...
"""


def collected(folder: Path, text: str) -> object:
    (folder / "study.py").write_text(HEAD + text, encoding="utf-8")
    return collect(folder / "study.py")


def test_a_task_takes_a_fixture_by_name_with_all_that_it_needs(tmp_path: Path) -> None:
    """Also one that the file imports; arguments of the run stand apart from it."""
    (tmp_path / "shared.py").write_text(
        "from llmbatch import fixture\n\n@fixture(scope='run')\ndef words():\n    yield ['a']\n",
        encoding="utf-8",
    )
    text = "from shared import words\n\n@fixture(scope='task')\nasync def pool(words, ask, size=3): ...\n"
    (tmp_path / "study.py").write_text(HEAD + text, encoding="utf-8")

    (say,) = collect(tmp_path / "study.py").tasks

    assert ("sample", "ask") == say.injection.arguments
    (pool,) = say.injection.fixtures
    (words,) = pool.needs
    assert (("ask",), "task", True, False) == (pool.arguments, pool.scope, pool.is_async, pool.yields)
    assert ((), "run", False, True) == (words.arguments, words.scope, words.is_async, words.yields)


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        ("@fixture()\ndef pol(): ...", "say takes `pool`, and nothing provides it", "rename the argument to `pol`"),
        ("@fixture()\ndef pool(wrods): ...\n@fixture()\ndef words(): ...", "pool takes `wrods`", "rename the argument"),
        ("@fixture()\ndef pool(sample): ...", "pool takes `sample`", "cases share pool, so it has none"),
        ("@fixture()\ndef pool(prompt): ...", "pool takes `prompt`", "shared by all variants"),
        ("@fixture()\ndef pool(ask): ...", "pool takes `ask`, which is awaited", "async def pool"),
        ("@fixture()\ndef pool(*words): ...", r"pool takes `\*words`", "name each argument"),
        ("@fixture()\ndef pool(pool): ...", "pool takes `pool`, and nothing", "write a fixture of that name"),
        (
            "@fixture()\ndef pool(a): ...\n@fixture()\ndef a(b): ...\n@fixture()\ndef b(pool): ...",
            "fixtures need one another: pool -> a -> b -> pool",
            "let one of them take none",
        ),
        (
            "@fixture()\ndef pool(words): ...\n@fixture(scope='task')\ndef words(): ...",
            "pool is made once for the experiment, and takes `words`",
            "scope=",
        ),
        ("@fixture()\ndef pool(): ...\n@fixture()\ndef client(): ...", "a fixture is named `client`", "rename"),
        ("@fixture(scope='taks')\ndef pool(): ...", "there is no scope 'taks'", "write 'task'"),
        ("pool = fixture()(3)", "@fixture decorates 3, which is no function", "decorate a def"),
        (
            "@fixture()\ndef pool(): ...\n@parametrize('pool', [1])\n@task(samples=[])\ndef other(pool): ...",
            "other is parametrised by `pool`, which is a fixture too",
            "rename one",
        ),
    ],
)
def test_what_cannot_be_made_is_named_with_its_place(tmp_path: Path, text: str, what: str, fix: str) -> None:
    """Before anything is asked."""
    with pytest.raises(TaskError, match=what) as raised:
        collected(tmp_path, text)

    assert fix in raised.value.details["fix"]
    assert "study.py:" in (raised.value.place or "")


def test_two_fixtures_of_one_name_are_refused(tmp_path: Path) -> None:
    """Whichever was meant, the other would be used somewhere."""
    text = "@fixture()\ndef pool(): ...\nfirst = pool\n@fixture()\ndef pool(): ...\n"

    with pytest.raises(TaskError, match="two fixtures are named pool") as raised:
        collected(tmp_path, text)

    assert "study.py:10" in raised.value.details["first"]


def test_a_fixture_is_still_the_function_that_it_was() -> None:
    """A unit test calls it."""

    @fixture()
    def pool(size: int = 2) -> list[int]:
        return list(range(size))

    assert [0, 1, 2] == pool(3)
