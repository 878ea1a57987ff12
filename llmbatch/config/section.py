"""Checked access to one table of a TOML file: every value is typed, and what nobody asked for is an error."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from llmbatch.errors import ConfigError

_TYPE_NAMES = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}


@dataclass(frozen=True)
class Source:
    """A configuration file: where it is, and its lines, to say where a key stands."""

    path: Path
    text: str

    def place(self, key_path: tuple[str, ...]) -> str:
        """Return `file:line` of a key where that can be told, else the file."""
        if key_path:
            last = re.escape(key_path[-1])
            key = re.compile(
                rf"^\s*(?:[^=#\[\]]*\.)?[\"']?{last}[\"']?\s*=|^\s*\[[^\]]*\b{last}[\"']?\s*\]|[{{,]\s*[\"']?{last}[\"']?\s*="
            )
            lines = self.text.splitlines()
            found = [number for number, line in enumerate(lines, 1) if key.search(line)]
            if len(found) > 1:
                found = self._in_table(lines, key_path, found)
            if len(found) == 1:
                return f"{self.path}:{found[0]}"
        return str(self.path)

    def _in_table(self, lines: list[str], key_path: tuple[str, ...], found: list[int]) -> list[int]:
        """Return those of the lines that stand in the table which the path names."""
        table = f"[{'.'.join(key_path[:-1])}]"
        headers = [number for number, line in enumerate(lines, 1) if line.lstrip().startswith("[")]
        own = [number for number in headers if lines[number - 1].partition("#")[0].strip().replace('"', "") == table]
        return [line for line in found if own and max((each for each in headers if each <= line), default=0) == own[0]]


@dataclass
class Section:
    """One table. `take_*` read a key; `close` raises if keys are left that no `take_*` asked for."""

    values: Mapping[str, Any]
    source: Source
    path: tuple[str, ...] = ()
    known: list[str] = field(default_factory=list)

    def take_text(self, name: str, default: str | None = None, *, choices: tuple[str, ...] = ()) -> str | None:
        """Return a text; with `choices` only one of them."""
        value = self._take(name)
        if value is None:
            return default
        if not isinstance(value, str):
            self._wrong_type(name, value, str)
        if choices and value not in choices:
            near = difflib.get_close_matches(value, choices, n=1)
            self.refuse(
                name,
                f"is {value!r}",
                known=", ".join(choices),
                fix=f'write "{near[0] if near else choices[0]}"',
            )
        return value

    def take_count(self, name: str, default: int | None = None, *, least: int = 1) -> int | None:
        """Return a whole number of at least `least`."""
        value = self._take(name)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool):
            self._wrong_type(name, value, int)
        if value < least:
            self.refuse(name, f"is {value}", fix=f"give a whole number of {least} or more")
        return value

    def take_limit(self, name: str) -> int | None:
        """Return a whole number of at least 1; None where there is no such limit."""
        value = self._take(name)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool):
            self._wrong_type(name, value, int)
        if value < 1:
            self.refuse(name, f"is {value}: nothing would ever be sent", fix="give 1 or more; remove it for no limit")
        return value

    def take_number(self, name: str, default: float | None = None, *, positive: bool = True) -> float | None:
        """Return a finite number, above 0 or (`positive` false) at least 0."""
        value = self._take(name)
        if value is None:
            return default
        if not isinstance(value, int | float) or isinstance(value, bool):
            self._wrong_type(name, value, float)
        if not math.isfinite(value) or value < 0 or (positive and value == 0):
            self.refuse(name, f"is {value}", fix=f"give a number {'above 0' if positive else 'of 0 or more'}")
        return float(value)

    def take_flag(self, name: str, default: bool = False) -> bool:
        """Return true or false."""
        said = self.take_flag_or_none(name)
        return default if said is None else said

    def take_flag_or_none(self, name: str) -> bool | None:
        """Return true or false; None where neither is said."""
        value = self._take(name)
        if value is not None and not isinstance(value, bool):
            self._wrong_type(name, value, bool)
        return value

    def take_texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts; an empty one where there is none."""
        value = self._take(name)
        if value is None:
            return ()
        if not isinstance(value, list):
            self._wrong_type(name, value, list)
        for each in value:
            if not isinstance(each, str):
                self._wrong_type(name, each, str)
        return tuple(value)

    def take_table(self, name: str) -> Mapping[str, Any]:
        """Return a table as it is; an empty one where there is none."""
        value = self._take(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._wrong_type(name, value, dict)
        return value

    def sections(self, name: str) -> list[tuple[str, Section]]:
        """Return the tables inside a table, each with its name."""
        found = []
        for inner, value in self.take_table(name).items():
            path = (*self.path, name, inner)
            if not isinstance(value, dict):
                self._wrong_type(f"{name}.{inner}", value, dict)
            found.append((inner, Section(value, self.source, path)))
        return found

    def close(self) -> None:
        """Raise ConfigError for the first key that is not known, with the nearest that is."""
        for name in self.values:
            if name not in self.known:
                near = difflib.get_close_matches(name, self.known, n=1)
                known = ", ".join(sorted(self.known))
                self.refuse(name, "is not a setting", known=known, fix=f"write `{near[0]}`" if near else "remove it")

    def refuse(self, name: str, what: str, **details: str) -> NoReturn:
        """Raise ConfigError about one key."""
        path = (*self.path, name)
        raise ConfigError(f"{'.'.join(path)} {what}", place=self.source.place(path), **details)

    def _take(self, name: str) -> Any:
        self.known.append(name)
        return self.values.get(name)

    def _wrong_type(self, name: str, value: Any, wanted: type) -> NoReturn:
        given = _TYPE_NAMES.get(type(value), type(value).__name__)
        self.refuse(
            name,
            f"is {given}, not {_TYPE_NAMES[wanted]}",
            given=repr(value),
            fix=f"give {_TYPE_NAMES[wanted]}",
        )
