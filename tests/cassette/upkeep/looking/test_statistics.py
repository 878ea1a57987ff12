"""The numbers of a cassette are those of its lines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from llmbatch.cassette.store import Store
from llmbatch.cassette.upkeep.looking import statistics
from llmbatch.cassette.upkeep.looking.statistics import ModelName, Spent, statistics_of
from tests.cassette.upkeep.filling import METADATA, body_of, call_of, fill, reply_of


def test_everything_is_counted_once(tmp_path: Path) -> None:
    """Answers by model and variant, failed attempts by class, second answers apart, generations by number."""
    fill(tmp_path, [("a[x]::1", body_of("1")), ("a[y]::1", body_of("2", model="n")), (None, body_of("3"))])
    fill(tmp_path, [("b::1", body_of("4"))], base_url="http://127.0.0.1:1/v1")
    with Store(tmp_path, record_mode="new_episodes", metadata=METADATA) as store:
        store.record(call_of(store, body_of("1")), reply_of("again"), case="a[x]::1")
        store.record_failure(call_of(store, body_of("9")), "rate_limited", "HTTP 429", case="a[x]::9")
        store.record(call_of(store, body_of("5")), reply_of(at="2027-01-01T00:00:00Z"), case="b::2")
    fill(tmp_path, [("a[x]::1", body_of("1"))], mode="all")

    found = statistics_of(tmp_path, lambda reply, prices: Spent(100, 10, 0.5 if prices else None))

    assert (5, 6, {0: 5, 1: 1}, (0,)) == (
        found.answering,
        found.lines,
        found.generations,
        found.complete_generations,
    )
    assert {"duplicate": 1, "rate_limited": 1} == found.failures
    assert (1, 100, 0.5) == (found.unserved.interactions, found.unserved.tokens_in, found.unserved.cost_usd)
    assert {"a[x]": 2, "a[y]": 1, "(no case)": 1, "b": 2} == {
        title: used.interactions for title, used in found.variants.items()
    }
    assert {
        ModelName("service", "m", "m-2026"): 4,
        ModelName("service", "n", "m-2026"): 1,
        ModelName("http://127.0.0.1:1", "m", "m-2026"): 1,
    } == {model: used.interactions for model, used in found.models.items()}
    assert (600, 60, 2.0, 2) == (
        found.total.tokens_in,
        found.total.tokens_out,
        found.total.cost_usd,
        found.total.unpriced,
    )
    assert ("2026-01-02T03:04:05.000006Z", "2027-01-01T00:00:00Z") == (found.first, found.last)
    assert sum(path.stat().st_size for path in tmp_path.glob("*.yaml")) == found.bytes


def test_a_model_has_the_price_of_its_alias(tmp_path: Path) -> None:
    """Prices are recorded by the name that the project gives a model, requests by the service's."""
    metadata = replace(METADATA, prices={"service/mine": {"x": "1"}}, models={"service/mine": "m"})
    with Store(tmp_path, record_mode="new_episodes", metadata=metadata) as store:
        store.record(call_of(store, body_of("1")), reply_of(), case="a::1")

    found = statistics_of(tmp_path, lambda reply, prices: Spent(1, 1, None if prices is None else 3.0))

    assert 3.0 == found.total.cost_usd


def test_names_without_end_are_counted_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cassette of a stranger may name a model for each line; memory does not grow with it."""
    monkeypatch.setattr(statistics, "MOST_NAMES", 3)
    fill(tmp_path, [(f"t{n}::1", body_of("1", model=f"m{n}")) for n in range(9)])

    found = statistics_of(tmp_path, lambda reply, prices: None)

    assert {"t0": 1, "t1": 1, "t2": 1, "(others)": 6} == {
        title: used.interactions for title, used in found.variants.items()
    }
    assert 4 == len(found.models)


def test_a_folder_without_files_has_no_numbers(tmp_path: Path) -> None:
    """And is no mishap."""
    found = statistics_of(tmp_path, lambda reply, prices: None)

    assert (0, 0, "", {}) == (found.answering, found.bytes, found.first, found.models)
