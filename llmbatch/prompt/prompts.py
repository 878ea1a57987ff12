"""Which template a task means: a file's name below `prompts/`, a text, or messages. Each is parsed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from llmbatch.errors import PromptError
from llmbatch.prompt.file import DEFAULT_SYSTEM, parse_prompt_file, parse_prompt_text
from llmbatch.prompt.template import Template, Turn
from llmbatch.prompt.text import verbatim_text
from llmbatch.samples.location import candidates, joined, near_names, shown

SUFFIXES = (".md", ".txt")

_MOST_KEPT = 512  # inline texts made per sample must not fill the memory


def is_prompt_file(prompt: str | Path) -> bool:
    """Tell whether a prompt is the name of a file: any Path, or one word that ends in .md or .txt."""
    if isinstance(prompt, Path):
        return True
    return prompt.lower().endswith(SUFFIXES) and not any(letter.isspace() for letter in prompt)


def find_prompt(name: str | Path, base_folders: Sequence[Path]) -> Path:
    """Return the file a prompt's name means, below `prompts/` of each base folder in turn.

    A Path is tried as it stands first, and may be absolute; a str stays below `prompts/`. Raises PromptError.
    """
    prompts = candidates("prompts", base_folders)
    if isinstance(name, str):
        _check_stays_below(name)
    tried = [folder / name for folder in prompts]
    if isinstance(name, Path):
        tried = list(dict.fromkeys([*candidates(name, base_folders), *tried]))
    for path in tried:
        if path.is_file():
            if isinstance(name, str):
                _check_not_linked_away(path, name, base_folders)
            return path
    near = near_names(Path(name).as_posix(), prompts, SUFFIXES, deep=True)
    details = {"tried": "\n".join(path.as_posix() for path in tried)}
    details |= {"near": joined(near)} if near else {}
    fix = f"write {near[0]!r}" if near else f"create {tried[-1].as_posix()}"
    raise PromptError(f"there is no prompt {Path(name).as_posix()!r}", **details, fix=fix)


def _check_stays_below(name: str) -> None:
    if "\\" in name or ":" in name or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise PromptError(
            f"{name!r} leads out of prompts/",
            fix="name a file below prompts/ with / between folders, or give a pathlib.Path for one elsewhere",
        )


def _check_not_linked_away(path: Path, name: str, base_folders: Sequence[Path]) -> None:
    """Raise PromptError where a link in a shared folder would send a file of this machine to a model."""
    real = path.resolve()
    if not any(real.is_relative_to(folder.resolve()) for folder in base_folders or (Path(),)):
        raise PromptError(f"{name!r} is a link that leads out of the project", fix="copy the file into prompts/")


class Prompts:
    """The templates of one run: each file is read once, so that an edit during the run changes nothing."""

    def __init__(self, base_folders: Sequence[Path]) -> None:
        self._base_folders = tuple(base_folders)
        self._files: dict[str | Path, Template] = {}
        self._texts: dict[str, Template] = {}

    def get(self, prompt: str | Path | Sequence[Mapping[str, Any]], *, verbatim: bool = False) -> Template:
        """Return the template of a file's name, of a text, or of whole messages.

        With `verbatim` a text and messages are no templates: braces in them are braces. Raises PromptError.
        """
        if not isinstance(prompt, str | Path):
            return Template.from_messages(prompt, verbatim=verbatim, base_folders=self._base_folders)
        known = self._files.get(prompt)
        if known is not None:
            return known
        if is_prompt_file(prompt):
            path = find_prompt(prompt, self._base_folders)
            template = parse_prompt_file(path, place=shown(path, self._base_folders))
            self._files[prompt] = template
            return template
        return self._verbatim(str(prompt)) if verbatim else self._inline(str(prompt))

    def _inline(self, text: str) -> Template:
        template = self._texts.get(text)
        if template is None:
            template = parse_prompt_text(text, place=_place(text))
            if len(self._texts) >= _MOST_KEPT:
                self._texts.clear()
            self._texts[text] = template
        return template

    @staticmethod
    def _verbatim(text: str) -> Template:
        place = _place(text)
        said = (("system", DEFAULT_SYSTEM), ("user", text))
        return Template([Turn(role, verbatim_text(words, place=place)) for role, words in said], place=place)


def _place(text: str, most: int = 30) -> str:
    """Return what messages call an inline text: its first words."""
    words = " ".join(text[: most * 2].split())
    return f'inline prompt "{words if len(words) <= most else words[: most - 1] + "…"}"'
