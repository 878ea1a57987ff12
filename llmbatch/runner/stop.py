"""Why a run ends before its plan does. Set once, read by everybody; knows nothing of signals or services."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from llmbatch.errors import ExitCode, LlmbatchError, ServiceError


@dataclass(slots=True)
class Stop:
    """Ends the dispatch of cases. The first reason stays; what is in flight is drained."""

    reason: str | None = None
    exit_code: ExitCode = ExitCode.FINE
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def requested(self) -> bool:
        """Whether no further case may start and nothing further may be sent."""
        return self.reason is not None

    async def sleep(self, seconds: float) -> bool:
        """Sleep, or until the end has come; return whether it has."""
        try:
            async with asyncio.timeout(seconds):
                return await self._ended.wait()
        except TimeoutError:
            return False

    def by_interrupt(self) -> None:
        """End the run because the person at the terminal says so."""
        self._end("interrupted; the same command goes on where it stopped", ExitCode.INTERRUPTED)

    def by_service(self, error: ServiceError) -> None:
        """End the run because the service refuses in a way that no further call can help."""
        self._end(error.report(), error.exit_code)

    def by_error(self, error: LlmbatchError) -> None:
        """End the run because of an error that concerns more than one case."""
        self._end(error.report(), error.exit_code)

    def _end(self, reason: str, exit_code: ExitCode) -> None:
        if self.reason is None:
            self.reason = reason
            self._ended.set()
            self.exit_code = exit_code
