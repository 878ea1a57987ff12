"""What is said of a reply of which a step took longer than it may.

Knows no HTTP library and no clock: whoever waits raises one of these errors.
"""

from __future__ import annotations

from llmbatch.config import Timeouts


class NotInTime(TimeoutError):
    """A step took longer than it may. The message is all there is to say, and the setting to change is in it."""

    def __init__(self, missed: str, seconds: float, setting: str, place: str) -> None:
        super().__init__(f"{missed} within {seconds:g} s ({setting} of {place})")


class NoConnectionInTime(NotInTime):
    """Nothing was sent."""

    def __init__(self, timeouts: Timeouts) -> None:
        super().__init__("no connection", timeouts.connect, "connect_timeout_seconds", timeouts.place)


class NoFirstByteInTime(NotInTime):
    """The request was sent, and nothing came back."""

    def __init__(self, timeouts: Timeouts) -> None:
        super().__init__("no first byte", timeouts.first_byte, "first_byte_timeout_seconds", timeouts.place)


class NoNextByteInTime(NotInTime):
    """A reply began to come and stood still."""

    def __init__(self, timeouts: Timeouts) -> None:
        super().__init__("no further byte of the reply", timeouts.idle, "idle_timeout_seconds", timeouts.place)


class NoWholeReplyInTime(NotInTime):
    """A reply had not ended, though bytes may have come all the time."""

    def __init__(self, timeouts: Timeouts) -> None:
        super().__init__("no whole reply", timeouts.total, "timeout_seconds", timeouts.place)
