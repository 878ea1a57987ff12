"""What a run has done so far, in plain numbers: written by the runner, read by whatever shows them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """What the runner counts and the display reads. `cost_usd` is what this run paid; `waiting` says for what, if so.

    `done` counts cases with a row; `paid` and `cached` count answers by where they came from; `failed` counts
    cases whose status is not ok; `hedged` counts the calls that were sent beside a late one.
    """

    done: int = 0
    paid: int = 0
    cached: int = 0
    failed: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: float = 0.0
    in_flight: int = 0
    hedged: int = 0
    waiting: str = ""
