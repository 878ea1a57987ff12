"""What really happened at the server, whatever the client believes."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson


@dataclass
class Window:
    """The most arrivals in any span of so many seconds."""

    seconds: float
    most: int = 0
    _recent: deque[float] = field(default_factory=deque)

    def arrive(self, now: float) -> None:
        self._recent.append(now)
        while self._recent[0] <= now - self.seconds:
            self._recent.popleft()
        self.most = max(self.most, len(self._recent))


@dataclass
class Truth:
    """Counters. `answered` are the billed calls: the model did the work, whatever became of the answer on its way.

    `attempts` and `per_key` are calls and billed calls by the digest of path and canonical body, `labels` calls and
    billed calls by label. `tokens_in` and `tokens_out` are what was billed of chat completions.
    """

    calls: int = 0
    answered: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    per_key: Counter[str] = field(default_factory=Counter)
    attempts: Counter[str] = field(default_factory=Counter)
    per_status: Counter[int] = field(default_factory=Counter)
    per_path: Counter[str] = field(default_factory=Counter)
    per_fault: Counter[str] = field(default_factory=Counter)
    labels: dict[str, list[int]] = field(default_factory=dict)
    second: Window = field(default_factory=lambda: Window(1.0))
    minute: Window = field(default_factory=lambda: Window(60.0))

    def arrive(self, path: str, now: float) -> None:
        self.calls += 1
        self.per_path[path] += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        self.second.arrive(now)
        self.minute.arrive(now)

    def ask(self, key: str, label: str) -> int:
        """Count a call of a key and return how many there were before."""
        self.attempts[key] += 1
        self.labels.setdefault(label, [0, 0])[0] += 1
        return self.attempts[key] - 1

    def bill(self, key: str, label: str) -> int:
        """Count an answer to a key and return how many there were before."""
        self.answered += 1
        self.per_key[key] += 1
        self.labels.setdefault(label, [0, 0])[1] += 1
        return self.per_key[key] - 1

    def use(self, usage: Mapping[str, int]) -> None:
        """Count the tokens of an answer."""
        self.tokens_in += usage["prompt_tokens"]
        self.tokens_out += usage["completion_tokens"]

    def as_json(self) -> bytes:
        shown = {name: value for name, value in vars(self).items() if name not in {"second", "minute"}}
        shown["max_in_one_second"], shown["max_in_one_minute"] = self.second.most, self.minute.most
        return orjson.dumps(shown, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SORT_KEYS)
