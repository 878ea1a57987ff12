"""Collecting an experiment: its name, its root, its tasks and tables. Knows no samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from llmbatch.collect.fixtures import fixtures_of
from llmbatch.collect.load import load
from llmbatch.collect.shapes import check_shapes
from llmbatch.errors import AuthorError, TaskError, UsageError
from llmbatch.experiment.injection import Injection, inspect_task
from llmbatch.experiment.place import nearest
from llmbatch.experiment.words import TABLE_ATTRIBUTE, TableDefinition, Task

ROOT_MARKS = ("pyproject.toml", "llmbatch.toml")
EXPERIMENTS_FOLDER = "experiments"


@dataclass(frozen=True, slots=True)
class CollectedTask:
    """A task whose signature was checked."""

    task: Task[..., Any]
    injection: Injection

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.task.name


@dataclass(frozen=True, slots=True)
class Experiment:
    """What one file declares, in the order of its lines.

    `name` is the path below `experiments/` without suffix, folders kept, with `/` on every system: the
    cassette is `cassettes/<name>/`. `root` is the project's folder. `path` is absolute. `is_file` False: it is a task
    that a program or a notebook had at hand, and the path is only where things are looked up.
    """

    path: Path
    name: str
    root: Path
    tasks: tuple[CollectedTask, ...]
    tables: tuple[TableDefinition, ...]
    is_file: bool = True

    @property
    def base_folders(self) -> tuple[Path, Path]:
        """Where relative paths are looked up, in this order."""
        return self.path.parent, self.root


def collect(path: Path) -> Experiment:
    """Import the file and return its checked declarations.

    Raises UsageError for a path that is no Python file, TaskError for a declaration that cannot be run, a shape that
    cannot be asked for or a file that cannot be imported, AuthorError when it declares no task.
    """
    path = _existing(path)
    root = find_root(path)
    name = experiment_name(path, root)
    module = load(path, name)
    tasks = _tasks_of(module, path)
    if not tasks:
        raise AuthorError(
            f"{path.name} declares no task",
            place=f"{path.name}:1",
            fix="decorate an async function with @task(samples=...)",
        )
    tables = _tables_of(module, path)
    _check_names([*tasks, *tables])
    _check_sources(tables, tasks)
    _check_samples(tasks)
    fixtures = fixtures_of(vars(module))
    checked = tuple(CollectedTask(task, inspect_task(task, fixtures)) for task in tasks)
    check_shapes([(each.task, each.injection) for each in checked], path, vars(module))
    return Experiment(path, name, root, checked, tuple(tables))


def experiment_of_task(task: Task[..., Any]) -> Experiment:
    """Return an experiment of one task, as a notebook or a program has it at hand; named like the task.

    A task whose file exists is looked up beside that file; one without (a notebook's cell) in the working folder.
    Raises TaskError for a declaration that cannot be run.
    """
    path = Path(task.declaration.file)
    path = path if path.is_file() else Path.cwd() / f"{task.name}.py"
    checked = checked_task(task)
    check_shapes([(task, checked.injection)], path, task.declaration.function.__globals__)
    return Experiment(path, task.name, find_root(path), (checked,), (), is_file=False)


def checked_task(task: Task[..., Any]) -> CollectedTask:
    """Return a task that is at hand without its file. Raises TaskError for a declaration that cannot be run."""
    return CollectedTask(task, inspect_task(task, fixtures_of(task.declaration.function.__globals__)))


def find_root(path: Path) -> Path:
    """Return the nearest folder above that has a pyproject.toml or llmbatch.toml.

    Without one it is the folder above `experiments/`, and else the file's own.
    """
    for folder in path.parents:
        if any((folder / mark).is_file() for mark in ROOT_MARKS):
            return folder
    for folder in path.parents:
        if folder.name == EXPERIMENTS_FOLDER:
            return folder.parent
    return path.parent


def experiment_name(path: Path, root: Path) -> str:
    """Return the path below `experiments/` without suffix; of a file elsewhere, the path below the root."""
    parts = path.relative_to(root).with_suffix("").parts
    if EXPERIMENTS_FOLDER in parts[:-1]:
        parts = parts[parts.index(EXPERIMENTS_FOLDER) + 1 :]
    return "/".join(parts)


def _existing(path: Path) -> Path:
    if not path.exists():
        beside = path.parent.glob("*.py") if path.parent.is_dir() else ()
        near = nearest(path.name, [other.name for other in beside])
        fix = f"write {(path.parent / near).as_posix()}" if near else "name an existing experiment file"
        raise UsageError(f"{path.as_posix()} does not exist", fix=fix)
    if not path.is_file() or path.suffix != ".py":
        raise UsageError(f"{path.as_posix()} is no Python file", fix="name one experiment file, ending in .py")
    return path.resolve()


def _tasks_of(module: ModuleType, path: Path) -> list[Task[..., Any]]:
    """Return each task that the file itself defines; one imported from elsewhere is not this experiment's."""
    found = {id(value): value for value in vars(module).values() if isinstance(value, Task)}
    own = [task for task in found.values() if Path(task.declaration.file) == path]
    return sorted(own, key=lambda task: task.declaration.line)


def _tables_of(module: ModuleType, path: Path) -> list[TableDefinition]:
    found = {
        id(definition): definition
        for value in vars(module).values()
        if isinstance(definition := getattr(value, TABLE_ATTRIBUTE, None), TableDefinition)
    }
    own = [definition for definition in found.values() if Path(definition.file) == path]
    return sorted(own, key=lambda definition: definition.line)


def _check_names(declared: list[Task[..., Any] | TableDefinition]) -> None:
    seen: dict[str, Task[..., Any] | TableDefinition] = {}
    for one in declared:
        if one.name in seen:
            raise TaskError(
                f"two declarations are named {one.name}",
                place=one.place,
                first=seen[one.name].place,
                fix="rename one of the functions",
            )
        seen[one.name] = one


def _check_samples(tasks: list[Task[..., Any]]) -> None:
    own = {id(task) for task in tasks}
    for task in tasks:
        source = task.declaration.samples
        if isinstance(source, Task) and id(source) not in own:
            raise TaskError(
                f"{task.name} takes the rows of {source.name}, which is no task of this file",
                place=task.place,
                tasks=", ".join(each.name for each in tasks),
                fix="write both in one file: they share a cassette",
            )


def _check_sources(tables: list[TableDefinition], tasks: list[Task[..., Any]]) -> None:
    own = {id(task) for task in tasks}
    for table in tables:
        for source in table.sources:
            if id(source) not in own:
                raise TaskError(
                    f"the table {table.name} is made from {source.name}, which is no task of this file",
                    place=table.place,
                    tasks=", ".join(task.name for task in tasks),
                    fix="name tasks that this file defines",
                )
