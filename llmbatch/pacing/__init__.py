"""When an attempt may be sent: how many are in flight, how many a minute, and when to leave a service in peace.

`Pacing` is all that others see. Nothing in here knows HTTP, a cassette or a retry, and nothing can change a row.
"""

from __future__ import annotations

from llmbatch.pacing.lane import Slot
from llmbatch.pacing.pacing import Pacing

__all__ = ["Pacing", "Slot"]
