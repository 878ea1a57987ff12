"""The run log: what happened in a run, one JSON object an event. Nothing in it ever changes a row.

Any room may tell it something through `Log`, whose one method never raises. `EVENTS` is the closed list of what can be
told, and docs/run-log.md says what it means.
"""

from __future__ import annotations

from llmbatch.runlog.events import EVENTS
from llmbatch.runlog.log import RUN_LOG, Log, NoLog, RunLog, write_exception

__all__ = ["EVENTS", "RUN_LOG", "Log", "NoLog", "RunLog", "write_exception"]
