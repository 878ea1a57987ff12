"""The price snapshot of a segment: kept beside its answers, and another one only where a price has changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from llmbatch.cassette.prices import with_prices
from llmbatch.cassette.retrying import RetryingStore
from llmbatch.cassette.segment import Metadata
from llmbatch.cassette.store import Store
from tests.cassette.test_store import call_of, reply_of

OLD = {"usd_per_million_in": "0.15", "usd_per_million_out": "0.6", "source": "prices 1"}
SAME = {"usd_per_million_in": "0.150", "usd_per_million_out": "0.6", "source": "prices 2"}
DEARER = {"usd_per_million_in": "0.30", "usd_per_million_out": "0.6", "source": "prices 3"}


def record(folder: Path, numbers: range, prices: Mapping[str, Mapping[str, str] | None]) -> None:
    """Record under prices that are learned when the store is open, as a run does."""
    with Store(folder, record_mode="new_episodes") as store:
        store.use_prices(prices)
        for number in numbers:
            store.record(call_of(store, number), reply_of("x"))


def segments(folder: Path) -> int:
    return len(list(folder.glob("segment-*.yaml")))


def test_an_entry_is_another_one_only_where_an_amount_is() -> None:
    """A newer package that says the same is no change; None takes a model out."""
    assert {"m": OLD} == with_prices({"m": OLD}, {"m": SAME})
    assert {"m": DEARER} == with_prices({"m": OLD}, {"m": DEARER})
    assert {"m": OLD, "n": DEARER} == with_prices({"m": OLD}, {"n": DEARER})
    assert {} == with_prices({"m": OLD}, {"m": None})


def test_a_newer_package_with_the_same_prices_begins_no_segment(tmp_path: Path) -> None:
    """Nor do runs of other models in turn, nor one that learns no price."""
    record(tmp_path, range(1), {"m": OLD})
    record(tmp_path, range(1, 2), {"m": SAME})
    record(tmp_path, range(2, 3), {"n": OLD})
    assert 2 == segments(tmp_path)
    for number in range(3, 9):
        record(tmp_path, range(number, number + 1), [{"m": SAME}, {"n": SAME}, {}][number % 3])
    assert 2 == segments(tmp_path)
    record(tmp_path, range(9, 10), {"m": DEARER})
    record(tmp_path, range(0), {"m": OLD})
    assert 3 == segments(tmp_path)


def test_an_answer_keeps_the_prices_of_its_recording(tmp_path: Path) -> None:
    """Whatever the run that looks it up, or goes on beside it, has learned since."""
    record(tmp_path, range(1), {})
    record(tmp_path, range(1, 2), {"m": OLD})
    with Store(tmp_path, record_mode="new_episodes") as store:
        store.use_prices({"m": DEARER})
        store.record(call_of(store, 2), reply_of("x"))
        keys = [call_of(store, number).key for number in range(3)]
        during = [store.prices(key, "m") for key in keys]
    with Store(tmp_path) as store:
        after = [store.prices(key, "m") for key in keys]

    assert [None, OLD, DEARER] == during
    assert [None, OLD, DEARER] == after


def test_prices_that_are_learned_in_the_middle_hold_from_then_on(tmp_path: Path) -> None:
    """A task may ask a model that no plan names."""
    with Store(tmp_path, record_mode="new_episodes", metadata=Metadata(prices={"m": OLD})) as store:
        store.record(call_of(store, 0), reply_of("x"))
        store.use_prices({"n": DEARER})
        store.record(call_of(store, 1), reply_of("x"))
        keys = [call_of(store, number).key for number in range(2)]
        assert [(OLD, None), (OLD, DEARER)] == [(store.prices(key, "m"), store.prices(key, "n")) for key in keys]

    assert 2 == segments(tmp_path)
    assert [] == Store(tmp_path).verify()


def test_what_is_asked_again_costs_what_it_did_now_and_in_every_replay(tmp_path: Path) -> None:
    """The refusal was looked up just before; where it lies says nothing of the answer in its place."""
    with Store(tmp_path, record_mode="new_episodes") as store:
        store.use_prices({"m": OLD})
        call = call_of(store, 0)
        store.record(call, reply_of("no", status=400))
    with RetryingStore(tmp_path, record_mode="new_episodes") as store:
        store.use_prices({"m": DEARER})
        assert store.find(call.key) is None
        store.record(call, reply_of("yes"))
        during = store.prices(call.key, "m")
    with Store(tmp_path) as store:
        assert DEARER == store.prices(call.key, "m") == during
