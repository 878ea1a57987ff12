"""One field in which two requests or two replies differ, in words. Pure; knows no request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

_SHOWN = 60


class Difference(NamedTuple):
    """One field that differs. `line` is that of a text, from 1; `before` or `after` is None where there is none.

    Both are text: a line of a text as it is, any other value as JSON.
    """

    field: str
    line: int | None
    before: str | None
    after: str | None
    is_text: bool = False

    @property
    def place(self) -> str:
        """The field, and the line where there is one: `system prompt, line 3`."""
        return self.field if self.line is None else f"{self.field}, line {self.line}"

    @property
    def change(self) -> str:
        """What happened, as short as it is clear: `"a" -> "b"`, `added "b"`, `removed "a"`."""
        if self.before is None:
            return f"added {self._short(self.after or '')}"
        if self.after is None:
            return f"removed {self._short(self.before)}"
        start = first_unlike(self.before, self.after)
        return f"{self._short(self.before, start)} -> {self._short(self.after, start)}"

    @property
    def size(self) -> int:
        """How many characters are not the same: a measure of likeness that costs no search."""
        before, after = self.before or "", self.after or ""
        start, end = common_ends(before, after)
        return len(before) + len(after) - 2 * (start + end)

    def __str__(self) -> str:
        return f"{self.place}: {self.change}"

    def _short(self, text: str, start: int = 0) -> str:
        """Return at most 60 characters around a place, in quotes where it is a text."""
        begin = 0 if len(text) <= _SHOWN or start <= _SHOWN // 2 else min(start - _SHOWN // 3, len(text) - _SHOWN)
        part = text[begin : begin + _SHOWN]
        part = ("…" if begin else "") + part + ("…" if begin + _SHOWN < len(text) else "")
        return f'"{part}"' if self.is_text else part


def is_elsewhere(found: Sequence[Difference]) -> bool:
    """Whether the same request was recorded under another address, and nothing else differs."""
    return bool(found) and all(each.field in _ADDRESS for each in found)


_ADDRESS = ("scheme", "host", "path")


def common_ends(was: Sequence[str], now: Sequence[str]) -> tuple[int, int]:
    """Return how many items both begin with and, of the rest, both end with."""
    most = min(len(was), len(now))
    start = first_unlike(was, now)
    end = 0
    while end < most - start and was[-1 - end] == now[-1 - end]:
        end += 1
    return start, end


def first_unlike(one: Sequence[str], other: Sequence[str]) -> int:
    """Return the first place at which two texts, or lists of texts, are not the same."""
    most = min(len(one), len(other))
    return next((index for index in range(most) if one[index] != other[index]), most)
