"""What every engine offers to the asking room: an order in, the recorded outcome out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from llmbatch.call.failure import Failure
from llmbatch.call.values import Call, Reply
from llmbatch.cassette.case import CaseContext
from llmbatch.config import ResolvedModel

Outcome = Reply | Failure
"""What a call came to: the recorded answer, or why the service gave none."""


@dataclass(frozen=True, slots=True)
class Order:
    """A call that has no recorded answer, with what it takes to make it.

    `wire` is the body as it is sent; `call.request.body` is the same after scrubbing. `url` is where it goes if
    it does not go to the model's chat. `is_probe` says that it asks what the service can do: that it cannot do it is no
    reason to try often, or to end a run.
    """

    call: Call
    wire: bytes
    model: ResolvedModel
    case: CaseContext
    url: str | None = None
    is_probe: bool = False


class Engine(Protocol):
    """Fills the cassette."""

    async def obtain(self, order: Order) -> Outcome:
        """Return the outcome of the call once it is in the cassette. Equal calls are made once."""
        ...
