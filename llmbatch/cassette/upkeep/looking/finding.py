"""Finding the lines of one interaction or one case in a folder. Needs no index: bytes are searched, then parsed."""

from __future__ import annotations

import difflib
import heapq
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from llmbatch.cassette.line import dumps
from llmbatch.cassette.segment import FAILURES, SEGMENT
from llmbatch.cassette.upkeep.walk import RecordedLine, lines_of
from llmbatch.errors import UsageError

SHORTEST_KEY = 4
"""Digits of a key from which on it may be looked for by its beginning."""
MOST_LINES = 200
"""Lines shown of one key or one case."""
_MOST_NAMED = 8
_MOST_CASES = 100_000
_KEY = re.compile(r"[0-9a-fA-F]{4,32}")
_REPEAT = re.compile(r"#r\d+$")
_LEFT_OUT = re.compile(r"\.\.\.|…")


class Found(NamedTuple):
    """The answers and the failed attempts of one key or one case, in the order of recording."""

    answers: list[RecordedLine]
    failures: list[RecordedLine]

    @property
    def lines(self) -> list[RecordedLine]:
        """All of them, answers first."""
        return [*self.answers, *self.failures]


def find(folder: Path, wanted: str) -> Found:
    """Return the lines of a key (whole, or from 4 digits on its beginning) or of a case.

    A case is named by its id, by a part of it that only one id has (`...` stands for anything), or by its sample.
    Raises UsageError, naming the candidates, when nothing or more than one thing is meant; CassetteDamaged.
    """
    matchers: list[Callable[[RecordedLine], str | None]] = []
    if _KEY.fullmatch(wanted):
        matchers.append(_by_key(wanted))
    matchers += [_by_id(wanted), _by_sample(wanted), _by_part(wanted)]
    matches = [_Matches() for _ in matchers]
    for line in lines_of(folder):
        for matcher, held in zip(matchers, matches, strict=True):
            name = matcher(line)
            if name is not None:
                held.add(name, line)
                break  # a better match of the same line makes the lesser ones needless
    best = next((held for held in matches if held.lines), None)
    if best is None:
        raise _nothing(folder, wanted)
    if len(best.lines) > 1:
        raise _several(wanted, best)
    [lines] = best.lines.values()
    lines.sort(key=lambda line: (str(line.head().get("recorded_at")), line.file, line.offset))
    return Found(
        [line for line in lines if line.file.kind == SEGMENT], [line for line in lines if line.file.kind == FAILURES]
    )


class _Matches:
    """Lines by the key or the case that they match; of many names only the first few keep their lines."""

    def __init__(self) -> None:
        self.lines: dict[str, list[RecordedLine]] = {}
        self.more = False

    def add(self, name: str, line: RecordedLine) -> None:
        lines = self.lines.get(name)
        if lines is None:
            if len(self.lines) > _MOST_NAMED:
                self.more = True
                return
            lines = self.lines[name] = []
        if len(lines) < MOST_LINES:
            lines.append(line)


def _by_key(prefix: str) -> Callable[[RecordedLine], str | None]:
    start = prefix.lower().encode()
    return lambda line: line.key.decode() if line.key.startswith(start) else None


def _by_id(wanted: str) -> Callable[[RecordedLine], str | None]:
    literal = dumps(wanted)
    return lambda line: wanted if line.case_json == literal else None


def _by_sample(wanted: str) -> Callable[[RecordedLine], str | None]:
    inner = dumps(wanted)[1:-1]

    def match(line: RecordedLine) -> str | None:
        if inner not in line.case_json:
            return None
        case = line.case or ""
        return case if _is_sample_of(wanted, case) else None

    return match


def _by_part(wanted: str) -> Callable[[RecordedLine], str | None]:
    literal, pattern = _pattern_of(wanted)

    def match(line: RecordedLine) -> str | None:
        if literal not in line.case_json:
            return None
        case = line.case
        return case if case is not None and pattern.search(case) else None

    return match


def names_case(wanted: str, case: str) -> bool:
    """Whether a text names a case: as its id, as a part of it (`...` stands for anything), or by its sample."""
    return wanted == case or _is_sample_of(wanted, case) or _pattern_of(wanted)[1].search(case) is not None


def _is_sample_of(wanted: str, case: str) -> bool:
    sample = case.partition("::")[2]
    return wanted in {sample, _REPEAT.sub("", sample)}


@lru_cache(maxsize=8)
def _pattern_of(wanted: str) -> tuple[bytes, re.Pattern[str]]:
    """Return the longest piece that must occur, as JSON has it, and the pattern of the whole."""
    parts = [part for part in _LEFT_OUT.split(wanted) if part]
    literal = dumps(max(parts, key=len, default=""))[1:-1]
    return literal, re.compile(".*".join(map(re.escape, parts)), re.DOTALL)


def _several(wanted: str, matches: _Matches) -> UsageError:
    named = list(matches.lines)[:_MOST_NAMED]
    more = "\nand more" if matches.more or len(matches.lines) > _MOST_NAMED else ""
    return UsageError(
        f"{wanted!r} means more than one thing in this cassette",
        found="\n".join(named) + more,
        fix="write one of those",
    )


def _nothing(folder: Path, wanted: str) -> UsageError:
    if _KEY.fullmatch(wanted):
        what = f"no recorded key begins with {wanted!r}, and no case has that in its id"
    else:
        what = f"no recorded case has {wanted!r} in its id"
    near = nearest_cases((line.case for line in lines_of(folder)), wanted)
    note = "a case that put the same request as an earlier one has no line of its own"
    if not near:
        return UsageError(what, note=note, fix="llmbatch cassette stats names the tasks and variants that there are")
    return UsageError(what, nearest="\n".join(near), note=note, fix=f"write {near[0]!r}")


def nearest_cases(cases: Iterable[str | None], wanted: str, most: int = 3) -> list[str]:
    """Return the case ids that look most like a text; a few are compared closely, all by their trigrams."""
    grams = _trigrams(wanted)
    # a suggestion is not worth a minute
    ids = dict.fromkeys(case for case in islice(cases, _MOST_CASES) if case is not None)
    seen = heapq.nlargest(30, ((len(grams & _trigrams(case)), case) for case in ids))
    candidates = [case for shared, case in seen if shared]
    by_sample = {case.partition("::")[2] or case: case for case in reversed(candidates)}
    near = difflib.get_close_matches(wanted, candidates, n=most, cutoff=0.5)
    near += [by_sample[each] for each in difflib.get_close_matches(wanted, by_sample, n=most, cutoff=0.5)]
    return list(dict.fromkeys(near))[:most]


def _trigrams(text: str) -> set[str]:
    return {text[at : at + 3] for at in range(max(1, len(text) - 2))}
