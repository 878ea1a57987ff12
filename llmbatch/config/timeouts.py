"""How long each step of a reply may take."""

from __future__ import annotations

from typing import NamedTuple


class Timeouts(NamedTuple):
    """Seconds for each step of one attempt. `place` says where they are set, for messages.

    `total` runs from the send to the last byte, whatever comes meanwhile: a service that sends blank lines until its
    answer is ready never stands still.
    """

    connect: float = 10.0
    first_byte: float = 300.0
    idle: float = 60.0
    total: float = 600.0
    place: str = "the endpoint"


DEFAULT_TIMEOUTS = Timeouts()
