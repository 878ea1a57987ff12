"""What a run opens before its first case: the cassette with its metadata, and the folder of its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from llmbatch.cassette.segment import Metadata
from llmbatch.cassette.store import Store
from llmbatch.config import DEFAULT_ENDPOINT, KNOWN_ENDPOINTS, Config, Durability, Endpoint
from llmbatch.errors import CassetteDamaged, DiskError
from llmbatch.invocation.mode import ChosenMode
from llmbatch.plan import Plan

PRICES = ("usd_per_million_in", "usd_per_million_out", "usd_per_million_cached_in")


S = TypeVar("S", bound=Store)


def make_store(
    folder: Path,
    mode: ChosenMode,
    plan: Plan,
    config: Config,
    secrets: Sequence[str],
    *,
    kind: type[S],
    durability: Durability | None = None,
) -> S:
    """Return the cassette of a run, not yet open. Its metadata has the endpoints, aliases and prices."""
    # those of the plan, and all that the project declares: a task may name any of them in an ask
    asked = {text.partition("/")[0] if "/" in text else DEFAULT_ENDPOINT for text in models_of_plan(plan, config)}
    endpoints = {
        name: endpoint
        for name, endpoint in config.endpoints.items()
        if name in asked or endpoint != KNOWN_ENDPOINTS.get(name)
    }
    addresses = {name: endpoint.address for name, endpoint in endpoints.items()}
    metadata = Metadata(endpoints=addresses, prices=_prices(endpoints), models=_renamed(endpoints))
    headers = sorted({name for endpoint in endpoints.values() for name in endpoint.headers})
    return kind(
        folder,
        record_mode=mode.mode,
        metadata=metadata,
        secrets=secrets,
        key_headers=headers,
        segment_bytes=config.segment_mb * 1_000_000,
        durability=durability or config.durability,
    )


def check_digest(folder: Path, expected: str) -> None:
    """Raise CassetteDamaged unless the answers that win, in whatever mode a run opens them, have that digest."""
    with Store(folder) as store:
        found = store.content_digest()
    if found != expected:
        raise CassetteDamaged(
            "the recorded answers are not those that were pinned",
            cassette=str(folder),
            expected=expected,
            found=found,
            fix="get the cassette again from where the digest is from, or pin the digest found if the change is meant",
        )


def models_of_plan(plan: Plan, config: Config) -> list[str]:
    """Return the texts of the models that the variants ask, each once, in plan order."""
    texts = [variant.model or config.model for task in plan.with_sources() for variant in task.variants]
    texts += [config.model] if plan.has_asking_fixtures else []
    return list(dict.fromkeys(text for text in texts if text is not None))


def _renamed(endpoints: Mapping[str, Endpoint]) -> dict[str, str]:
    """Return the wire names of the models that have another one, by `endpoint/alias`."""
    models = [(endpoint, alias, model) for endpoint in endpoints.values() for alias, model in endpoint.models.items()]
    return {f"{endpoint.name}/{alias}": model.name for endpoint, alias, model in models if model.name != alias}


def _prices(endpoints: Mapping[str, Endpoint]) -> dict[str, Any]:
    """Return the prices of every model that has some, by `endpoint/model`."""
    prices: dict[str, Any] = {}
    for endpoint in endpoints.values():
        for alias, settings in endpoint.models.items():
            known = {price: getattr(settings, price) for price in PRICES if getattr(settings, price) is not None}
            if known:
                text = f"{endpoint.name}/{alias}"
                prices[text] = {price: str(Decimal(str(value))) for price, value in known.items()}
    return prices


def make_results_folder(parent: Path, now: datetime) -> Path:
    """Make and return a new folder named by the instant, so that runs sort by time and none overwrites another."""
    stem = now.astimezone(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    for number in range(1, 1000):
        folder = parent / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise DiskError(
                f"no results can be kept in {parent}: {error.strerror or error}",
                fix="choose another folder with --results",
            ) from error
        return folder
    raise DiskError(f"{parent} has a thousand runs of one second", fix="choose another folder with --results")
