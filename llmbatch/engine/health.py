"""What is known of a service beyond one call: whether it was ever reached, and whether it refuses for good.

Knows no HTTP library. The end of a run that no further call can help is brought about here, for `ask` and for
`client` alike.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

from llmbatch.call.failure import FailureKind
from llmbatch.client.retry import Attempted
from llmbatch.config import ResolvedModel
from llmbatch.errors import LlmbatchError, ServiceError
from llmbatch.policy import Verdict

ATTEMPTS_BEFORE_REACHED = 3
"""How often a service that was never reached is tried by one call: a wrong URL is no passing trouble."""

_UNREACHED = frozenset({FailureKind.CONNECT_ERROR, FailureKind.NOT_API})
_SAYS_NOTHING = _UNREACHED | {
    FailureKind.CONFIG_ERROR,
    FailureKind.NOT_RECORDED,
    FailureKind.NOT_RUN,
    FailureKind.TASK_ERROR,
}


class Halt(Protocol):
    """What may be known of the run's end: whether it has come, and how to bring it about."""

    @property
    def requested(self) -> bool:
        """Whether nothing further may be sent."""
        ...

    def by_service(self, error: ServiceError) -> None:
        """End the run because the service refuses in a way that no further call can help."""
        ...

    def by_error(self, error: LlmbatchError) -> None:
        """End the run because of an error that concerns more than one case."""
        ...

    async def sleep(self, seconds: float) -> bool:
        """Sleep, or until the end has come; return whether it has."""
        ...


class Health:
    """Reviews every attempt of a run. One for all endpoints, which it tells apart by name."""

    def __init__(self, halt: Halt) -> None:
        self._halt = halt
        self._reached: set[str] = set()

    def review(self, model: ResolvedModel, attempted: Attempted[Any]) -> Attempted[Any]:
        """Return the attempt with the last word on what follows from it; ends the run where that is a stop."""
        name = model.endpoint.name
        kind = attempted.verdict.kind
        if kind is None or kind not in _SAYS_NOTHING:
            self._reached.add(name)
        elif kind in _UNREACHED and name not in self._reached and attempted.attempts >= ATTEMPTS_BEFORE_REACHED:
            attempted = replace(attempted, verdict=attempted.verdict._replace(retry="no", stop=True))
        if attempted.verdict.stop:
            self._halt.by_service(_service_error(model, attempted.verdict))
        return attempted


def _service_error(model: ResolvedModel, verdict: Verdict) -> ServiceError:
    endpoint = model.endpoint
    unreached = verdict.kind in _UNREACHED
    what = f"cannot be reached at {endpoint.base_url}" if unreached else f"refuses {model.text}: {verdict.kind}"
    return ServiceError(
        f"{endpoint.name} {what}",
        said=verdict.message,
        endpoint=f"{endpoint.base_url} (key variable {endpoint.key_env or 'none'})",
        fix=_FIXES.get(verdict.kind, "put the cause right; the same command goes on where it stopped"),
    )


_FIXES: dict[FailureKind | None, str] = {
    FailureKind.AUTH: "check the key in the key variable and its rights; the same command goes on where it stopped",
    FailureKind.QUOTA: "raise the quota or the balance; the same command goes on where it stopped",
    FailureKind.MODEL_NOT_FOUND: "check the model's name and the base URL (does it end in /v1?), then run again",
    FailureKind.CONFIG_ERROR: "check the base URL, the proxy and the certificate of the endpoint, then run again",
    FailureKind.RATE_LIMITED: "wait as long as the service asks, or lower --concurrency; then run again",
    FailureKind.CONNECT_ERROR: "start the server, or put its base_url right; the same command goes on where it stopped",
    FailureKind.NOT_API: "sign in to the network, or put the base_url right (does it end in /v1?); then run again",
}
