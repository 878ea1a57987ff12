"""When an attempt may be sent: how many are in flight, how many a minute, and when to leave a service in peace.

`Pacing` is what others call. Nothing in here knows HTTP, a cassette or a retry, and nothing can change a row.
"""

from __future__ import annotations

from llmbatch.pacing.booking import Rates
from llmbatch.pacing.ledger import SharedLedger
from llmbatch.pacing.pacing import Pacing
from llmbatch.pacing.slot import Slot
from llmbatch.pacing.surroundings import Surroundings

__all__ = ["Pacing", "Rates", "SharedLedger", "Slot", "Surroundings"]
