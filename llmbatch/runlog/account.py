"""What happened in a run and why, put together from all events of its log. Pure.

However long a log is, what is held is bounded: counts by kind, an example of each, and the newest of what is listed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from llmbatch.runlog.reading import Event, number_of, text_of

MOST_KINDS = 200
"""Kinds that are told apart; a log of ours has few, and a foreign one must not fill the memory."""
MOST_LISTED = 100


@dataclass(slots=True)
class Group:
    """Events of one kind: how many, the first of them in words, and their seconds and dollars added up."""

    count: int = 0
    example: str = ""
    seconds: float = 0.0
    cost_usd: float = 0.0

    def add(self, event: Event, example: str) -> None:
        """Count one more."""
        self.count += 1
        self.example = self.example or example
        self.seconds += number_of(event, "seconds") or 0.0
        self.cost_usd += number_of(event, "cost_usd") or 0.0


Groups = dict[tuple[str, str], Group]
"""By what is concerned (a service, or nothing) and by kind."""


@dataclass(slots=True)
class Account:
    """Failures by class, attempts that were not a first success, waits, hedges; and what is listed as it happened.

    `calls` are the totals that the run told at its end, `listed` the newest changes of limits (those of one kind that
    follow one another as one), breakers and budget, notes and errors, oldest first; `not_listed` counts those before.
    """

    failures: Groups = field(default_factory=dict)
    attempts: Groups = field(default_factory=dict)
    waits: Groups = field(default_factory=dict)
    hedges: int = 0
    hedges_won: int = 0
    calls: list[Event] = field(default_factory=list)
    listed: deque[Event] = field(default_factory=lambda: deque(maxlen=MOST_LISTED))
    not_listed: int = 0

    def take(self, event: Event) -> None:
        """Take in one event."""
        name = event["event"]
        if name in _OF_CASES:
            kind = text_of(event, "kind") or name
            _group(self.failures, "", kind).add(event, f"{text_of(event, 'case')}: {_words_of(event)}")
        elif name == "attempt":
            kind = text_of(event, "kind") or "ok, after another one"
            _group(self.attempts, service_of(event), kind).add(event, _words_of(event))
        elif name == "wait":
            _group(self.waits, service_of(event), text_of(event, "kind")).add(event, "")
        elif name == "hedge":
            self.hedges += 1
            self.hedges_won += event.get("won") is True
        elif name == "calls":
            if len(self.calls) < MOST_KINDS:
                self.calls.append(event)
        elif name in _LISTED:
            self._list(event)

    def _list(self, event: Event) -> None:
        before = self.listed[-1] if self.listed else {}
        if event["event"] == "limit" and all(event.get(name) == before.get(name) for name in _OF_ONE_KIND):
            # a limit that grows step by step: one change, from where it began
            self.listed[-1] = {**before, "limit": event.get("limit")}
            return
        self.not_listed += len(self.listed) == MOST_LISTED
        self.listed.append(event)


_OF_ONE_KIND = ("event", "endpoint", "model", "why")
_OF_CASES = frozenset({"warning", "task_error", "sample_error"})
_LISTED = frozenset(
    {"limit", "learned", "breaker", "first_answer", "stall", "budget", "unstable", "note", "stopped", "table_error"}
)


def account_of(events: Iterable[Event]) -> Account:
    """Return what the events come to."""
    account = Account()
    for event in events:
        account.take(event)
    return account


def service_of(event: Event) -> str:
    """Return `endpoint/model`, or what of it is known."""
    return "/".join(filter(None, (text_of(event, "endpoint"), text_of(event, "model"))))


def _words_of(event: Event) -> str:
    return text_of(event, "message") or text_of(event, "error")


def _group(groups: Groups, concerned: str, kind: str) -> Group:
    key = (concerned, kind)
    if key not in groups and len(groups) >= MOST_KINDS:
        key = ("", "others")
    return groups.setdefault(key, Group())
