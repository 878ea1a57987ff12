"""What a run would cost, as a page that a person reads. Prints nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from llmbatch.money.estimate import Range
from llmbatch.money.words import dollars
from llmbatch.report.counting import counted
from llmbatch.report.page import Field, Heading, Part


class Line(Protocol):
    """One kind of call and its cost."""

    @property
    def title(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def calls(self) -> int: ...
    @property
    def cost(self) -> Range | None: ...
    @property
    def basis(self) -> str: ...


def page_of_costs(lines: Sequence[Line], total: Range | None) -> Iterator[Part]:
    """Yield the cost in all and of each kind of call, with what it is taken from."""
    calls = sum(line.calls for line in lines)
    unpriced = sum(line.calls for line in lines if line.cost is None)
    text = range_text(total) if total is not None else "cost unknown"
    yield Heading(f"{counted(calls, 'call')} would be made: {text}", level=2)
    if unpriced and total is not None:
        yield Field("without", f"{counted(unpriced, 'call')} whose price is not known")
    for line in lines:
        cost = "-" if line.cost is None else range_text(line.cost)
        yield Field(f"{line.title} {line.model}", f"{counted(line.calls, 'call')}, {cost}: {line.basis}")
    yield Field("not in it", "calls that a task makes only when it has these answers")


def range_text(cost: Range) -> str:
    """Return a range in words: `$0.41 to $0.52`, or one amount where both are shown alike."""
    low, high = dollars(cost.low_usd), dollars(cost.high_usd)
    return low if low == high else f"{low} to {high}"
