"""The expressions of `-k` and `-m`: names with `and`, `or`, `not` and parentheses, as in pytest. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from llmbatch.errors import UsageError

_TOKEN = re.compile(r"\s*([()]|[^\s()]+)")
_WORDS = ("and", "or", "not", "(", ")")

Matcher = Callable[[Callable[[str], bool]], bool]
"""Given what a single name says, what the whole expression says."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression; `names` are the names in it, in the order written."""

    text: str
    names: tuple[str, ...]
    matcher: Matcher

    def matches(self, holds: Callable[[str], bool]) -> bool:
        """Return whether the expression holds, given whether each name does."""
        return self.matcher(holds)


def parse_expression(text: str, *, flag: str) -> Expression:
    """Parse `a and not (b or c)`. Raises UsageError naming the flag and the place of the fault."""
    parser = _Parser(text, flag)
    matcher = parser.whole()
    return Expression(text, tuple(parser.names), matcher)


class _Parser:
    """Recursive descent: `or` binds weakest, then `and`, then `not`."""

    def __init__(self, text: str, flag: str) -> None:
        self._text = text
        self._flag = flag
        self._tokens = [(match.group(1), match.start(1)) for match in _TOKEN.finditer(text)]
        self._at = 0
        self.names: list[str] = []

    def whole(self) -> Matcher:
        matcher = self._any()
        if self._at < len(self._tokens):
            raise self._fault(f"{self._peek()!r} is one too many")
        return matcher

    def _any(self) -> Matcher:
        parts = list(self._joined("or", self._all))
        return parts[0] if len(parts) == 1 else lambda holds: any(part(holds) for part in parts)

    def _all(self) -> Matcher:
        parts = list(self._joined("and", self._one))
        return parts[0] if len(parts) == 1 else lambda holds: all(part(holds) for part in parts)

    def _joined(self, word: str, part: Callable[[], Matcher]) -> Iterator[Matcher]:
        yield part()
        while self._peek() == word:
            self._at += 1
            yield part()

    def _one(self) -> Matcher:
        token = self._peek()
        if token == "not":  # noqa: S105 - a word of the expression, no password
            self._at += 1
            inner = self._one()
            return lambda holds: not inner(holds)
        if token == "(":  # noqa: S105 - likewise
            self._at += 1
            inner = self._any()
            if self._peek() != ")":
                raise self._fault("a `)` is missing")
            self._at += 1
            return inner
        if token is None or token in _WORDS:
            raise self._fault("a name is missing" if token is None else f"a name is missing before {token!r}")
        self._at += 1
        self.names.append(token)
        return lambda holds: holds(token)

    def _peek(self) -> str | None:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else None

    def _fault(self, what: str) -> UsageError:
        column = self._tokens[self._at][1] + 1 if self._at < len(self._tokens) else len(self._text) + 1
        return UsageError(
            f"{self._flag} {self._text!r}: {what}, at column {column}",
            fix=f"write names joined by and, or, not: {self._flag} 'qwen and not (cot or bare)'",
        )
