"""What a run says when a service has stopped it: what happened, where it was set, and what to do."""

from __future__ import annotations

from llmbatch.call.failure import FailureKind
from llmbatch.config import ResolvedModel
from llmbatch.errors import ServiceError
from llmbatch.policy import Verdict

_UNREACHED = frozenset({FailureKind.CONNECT_ERROR, FailureKind.NOT_API})


def service_error(model: ResolvedModel, verdict: Verdict) -> ServiceError:
    """Return the error that ends a run because of a verdict."""
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
