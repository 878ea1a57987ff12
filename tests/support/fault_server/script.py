"""What a request wants to go wrong: the directives in its text, and which of them an attempt meets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

_DIRECTIVE = re.compile(r"\[\[([^\[\]]+)\]\]")
_LASTING = frozenset({"delay", "label", "with"})
"""Directives that are no faults: they hold for every attempt."""


class Fault(NamedTuple):
    """One directive: its first word, its options, and on how many attempts it happens (None: on all)."""

    name: str
    options: dict[str, str]
    times: int | None


def faults_in(text: str) -> list[Fault]:
    """Read the directives of a text, in order."""
    faults = []
    for match in _DIRECTIVE.finditer(text):
        words = match[1].split()
        if not words:
            continue
        counts = [int(word[1:]) for word in words[1:] if re.fullmatch(r"x\d+", word)]
        name, _, value = words[0].partition("=")
        options = dict(word.partition("=")[::2] for word in words[1:] if "=" in word)
        if value:
            options[name] = value
        faults.append(Fault(name, options, counts[0] if counts else 1 if name == "429" else None))
    return faults


def fault_at(faults: Iterable[Fault], attempt: int) -> Fault | None:
    """Return what goes wrong at this attempt (from 0), None where the answer comes."""
    for fault in faults:
        if fault.name in _LASTING:
            continue
        if fault.times is None or attempt < fault.times:
            return fault
        attempt -= fault.times
    return None


def lasting(faults: Iterable[Fault], name: str) -> list[Fault]:
    """Return the directives of a name that is no fault."""
    return [fault for fault in faults if fault.name == name]
