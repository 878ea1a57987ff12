"""Write the files of a new experiment from the package's templates, and never over a file that is there."""

from __future__ import annotations

import keyword
import re
import tomllib
from importlib.resources import files
from pathlib import Path
from string import Template

from llmbatch.errors import ConfigError, DiskError, UsageError

_TEMPLATES = {
    "experiment.py.txt": "experiments/{name}.py",
    "prompt.md.txt": "prompts/{name}.md",
    "samples.jsonl.txt": "experiments/data/{name}.jsonl",
}
_SETTINGS = "llmbatch.toml"
# what the experiment file itself defines or imports: a task of that name would hide it
_TAKEN = frozenset(
    {"Answer", "Any", "Ask", "BaseModel", "Literal", "Review", "by_app", "parametrize", "pl", "table", "task"}
)


def create_experiment(name: str, folder: Path) -> list[Path]:
    """Write an experiment, its prompt and eight labelled samples below a project's folder; return the new files.

    `llmbatch.toml` is written too where the project has no settings yet. Raises UsageError for a name that
    is no Python identifier and for a file that is there already (then nothing is written), ConfigError for
    a pyproject.toml that cannot be read, DiskError.
    """
    _check_name(name)
    targets = {folder / target.format(name=name): template for template, target in _TEMPLATES.items()}
    for path in targets:
        if path.exists():
            raise UsageError(
                f"{path.relative_to(folder).as_posix()} is there already, and is not written over",
                fix="choose another name, or move the file away",
            )
    if not _has_settings(folder):
        targets[folder / _SETTINGS] = f"{_SETTINGS}.txt"
    for path, template in targets.items():
        _write(path, _filled(template, name))
    return list(targets)


def _check_name(name: str) -> None:
    if name in _TAKEN:
        raise UsageError(
            f"{name!r} cannot name an experiment: the file uses that word itself",
            fix=f"llmbatch new {name.lower()}_experiment",
        )
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UsageError(
            f"{name!r} cannot name an experiment: it is not a Python identifier",
            fix=f"llmbatch new {_nearest_identifier(name)}",
        )


def _nearest_identifier(name: str) -> str:
    near = re.sub(r"\W+", "_", name.removesuffix(".py")).strip("_") or "experiment"
    if near[0].isdigit():
        near = f"experiment_{near}"
    taken = keyword.iskeyword(near) or near in _TAKEN or not near.isidentifier()
    return f"{near.lower()}_experiment" if taken and near.isidentifier() else near if not taken else "experiment"


def _has_settings(folder: Path) -> bool:
    if (folder / _SETTINGS).exists():
        return True
    pyproject = folder / "pyproject.toml"
    if not pyproject.is_file():
        return False
    try:
        tool = tomllib.loads(pyproject.read_text(encoding="utf-8")).get("tool", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"pyproject.toml cannot be read: {error}",
            place=str(pyproject),
            fix="correct it: whether it holds [tool.llmbatch] decides where settings go",
        ) from None
    return "llmbatch" in tool


def _filled(template: str, name: str) -> str:
    text = files("llmbatch.scaffold").joinpath("templates", template).read_text(encoding="utf-8")
    return Template(text).substitute(name=name)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise DiskError(
            f"{path} could not be written: {error.strerror or error}",
            fix="free space, or choose a folder that can be written",
        ) from error
