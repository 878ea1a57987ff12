"""From a path to checked declarations, or to an error that names the author's line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmbatch.collect import collect, parse_target
from llmbatch.collect.experiment import experiment_name, find_root
from llmbatch.collect.target import Selector
from llmbatch.errors import AuthorError, ExitCode, TaskError, UsageError

TASK = """
from llmbatch import task

@task(samples=[{"text": "a"}])
async def first(sample, ask):
    return await ask("{text}", sample)
"""


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project's folder: it has a pyproject.toml."""
    write(tmp_path, "pyproject.toml", "")
    return tmp_path


def test_tasks_and_tables_are_collected_in_the_order_of_their_lines(project: Path) -> None:
    """The order of definition is the order of the plan."""
    text = TASK + (
        "\nfrom llmbatch import table\n"
        "@table(first)\ndef z_table(rows):\n    return rows\n"
        "@task(samples=[])\ndef a_second(sample):\n    return 1\nalias = first\n"
        "@table(first)\ndef a_table(rows):\n    return rows\n"
    )

    experiment = collect(write(project, "experiments/pilot/one.py", text))

    assert [task.name for task in experiment.tasks] == ["first", "a_second"]
    assert [table.name for table in experiment.tables] == ["z_table", "a_table"]
    assert (experiment.name, experiment.root) == ("pilot/one", project)
    assert experiment.base_folders == (project / "experiments/pilot", project)


def test_an_imported_task_belongs_to_the_file_that_defines_it(project: Path) -> None:
    """Sharing helpers must not run another experiment's tasks; modules beside the file are importable."""
    write(project, "experiments/other_tasks.py", TASK)
    text = "from other_tasks import first\n" + TASK.replace("first", "second")

    experiment = collect(write(project, "experiments/one.py", text))

    assert [task.name for task in experiment.tasks] == ["second"]
    assert str(project / "experiments") not in sys.path


def test_each_collection_reads_the_file_and_the_modules_beside_it_anew(project: Path) -> None:
    """An edit within the same second counts, and another folder's module of the same name is another."""
    text = "from words_beside import NAME\nfrom llmbatch import task\n"
    text += "@task(samples=[{'a': NAME}])\ndef t(sample):\n    return 1\n"
    seen = []
    for folder, word in (("experiments", "one"), ("experiments", "two"), ("elsewhere", "six")):
        write(project, f"{folder}/words_beside.py", f"NAME = '{word}'\n")
        path = write(project, f"{folder}/reads.py", text)
        samples = collect(path).tasks[0].task.declaration.samples
        seen.append(json.dumps(samples))

    assert seen == ['[{"a": "one"}]', '[{"a": "two"}]', '[{"a": "six"}]']


def test_the_module_is_named_after_the_experiment_and_not_its_folder(project: Path) -> None:
    """A schema that holds two classes of one name holds module names, and a request must not hold a path."""
    text = "from pydantic import BaseModel\nclass Verdict(BaseModel):\n    later: 'Later'\n"
    text += "class Later(BaseModel):\n    a: int\n"
    experiment = collect(write(project, "experiments/a/deep-one.py", text + TASK))

    module = experiment.tasks[0].task.declaration.function.__module__
    assert module == "llmbatch_experiment_a_deep_one"
    assert sys.modules[module].Verdict(later={"a": 1}).later.a == 1


@pytest.mark.parametrize(
    ("text", "line", "said", "fix"),
    [
        ("import llmbatch\n\nx = 1 / 0\n", 3, "ZeroDivisionError: division by zero", "correct the line"),
        ("x = 1\ndef broken(:\n", 2, "SyntaxError", "def broken(:"),
        ("import no_such_package_here\n", 1, "ModuleNotFoundError", "install the package"),
        ("\nimport sys\nsys.exit(3)\n", 3, "SystemExit: 3", "__main__"),
        ("from llmbatch import tsak\n", 1, "ImportError", "correct the line"),
    ],
)
def test_a_file_that_cannot_be_imported_names_its_line(
    project: Path, text: str, line: int, said: str, fix: str
) -> None:
    """The place is the author's line; the whole traceback stays as the cause."""
    path = write(project, "experiments/broken.py", text)

    with pytest.raises(TaskError) as caught:
        collect(path)

    assert caught.value.place == f"{path.as_posix()}:{line}"
    assert said in caught.value.what
    assert fix in caught.value.details["fix"]
    assert caught.value.__cause__ is not None
    assert "llmbatch_experiment_broken" not in sys.modules


def test_an_error_inside_a_module_beside_the_file_names_that_module(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last of the author's own lines is where to look."""
    monkeypatch.chdir(project)
    write(project, "experiments/faulty_words.py", "a = 1\nb = a.c\n")

    with pytest.raises(TaskError) as caught:
        collect(write(project, "experiments/uses.py", "import faulty_words\n"))

    assert caught.value.place == "experiments/faulty_words.py:2"


def test_a_declaration_that_cannot_be_names_its_line(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of a decorator without a place of its own gets that of the line that used it."""
    monkeypatch.chdir(project)
    text = "from llmbatch import parametrize\n\n@parametrize('prompt', [])\ndef a(prompt):\n    return 1\n"

    with pytest.raises(TaskError, match="has no value") as caught:
        collect(write(project, "experiments/empty.py", text))

    assert caught.value.place == "experiments/empty.py:3"


def test_a_file_without_a_task_is_the_authors_error(project: Path) -> None:
    """Exit code 4, and what to write."""
    with pytest.raises(AuthorError, match="declares no task") as caught:
        collect(write(project, "experiments/none.py", "x = 1\n"))

    assert caught.value.exit_code is ExitCode.USAGE


def test_two_declarations_of_one_name_are_refused(project: Path) -> None:
    """The later would hide the earlier, in the file and in the results."""
    text = TASK + "kept = first\n" + TASK

    with pytest.raises(TaskError, match="two declarations are named first"):
        collect(write(project, "experiments/twice.py", text))


def test_a_table_of_another_files_task_is_refused(project: Path) -> None:
    """Its rows are not in this run."""
    write(project, "experiments/far_tasks.py", TASK)
    text = "import far_tasks\nfrom llmbatch import table\n@table(far_tasks.first)\ndef t(rows):\n    return rows\n"

    with pytest.raises(TaskError, match="made from first, which is no task of this file"):
        collect(write(project, "experiments/tables.py", text + TASK.replace("first", "second")))


def test_a_wrong_path_names_the_nearest_file(project: Path) -> None:
    """A misspelt path, a folder and a file that is not Python are told apart."""
    write(project, "experiments/classify.py", TASK)
    other = write(project, "experiments/data.jsonl", "{}\n")

    with pytest.raises(UsageError) as caught:
        collect(project / "experiments/clasify.py")
    assert caught.value.details["fix"].endswith("experiments/classify.py")
    for path in (project / "experiments", other):
        with pytest.raises(UsageError, match="is no Python file"):
            collect(path)


def test_the_root_and_the_name_do_not_depend_on_the_working_directory(tmp_path: Path) -> None:
    """The cassette of an experiment is the same from wherever it is started."""
    nested = write(tmp_path, "experiments/a/b.py", "")

    assert find_root(nested) == tmp_path
    write(tmp_path, "llmbatch.toml", "")
    assert find_root(nested) == tmp_path
    assert experiment_name(nested, tmp_path) == "a/b"
    assert experiment_name(tmp_path / "pilots/b.py", tmp_path) == "pilots/b"
    assert experiment_name(tmp_path / "experiments.py", tmp_path) == "experiments"


def test_targets_select_a_file_a_task_or_a_variant() -> None:
    """`PATH`, `PATH::task`, `PATH::task[variant]`."""
    assert parse_target("a/b.py").selector is None
    assert parse_target("a/b.py::one").selector == Selector("one")
    assert parse_target("a/b.py::one[qwen-cot-0.0]").selector == Selector("one", "qwen-cot-0.0")
    assert parse_target(Path("a/b.py")).path == Path("a/b.py")


@pytest.mark.parametrize(
    "text", ["::one", "a.py::", "a.py::one[", "a.py::one[]", "a.py::one[x", "a.py::o ne", "a.py::a::b"]
)
def test_a_target_that_is_none_is_refused(text: str) -> None:
    """With the form that is meant."""
    with pytest.raises(UsageError) as caught:
        parse_target(text)

    assert "PATH::task[variant]" in caught.value.details["fix"]


@given(
    st.from_regex(r"[a-z_]{1,9}", fullmatch=True),
    st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda v: "::" not in v),
)
def test_what_a_selector_writes_a_target_reads(task: str, variant: str) -> None:
    """A variant's name on the screen can be pasted onto the command line."""
    selector = Selector(task, variant)

    assert parse_target(f"x.py::{selector}").selector == selector
