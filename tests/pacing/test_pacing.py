"""Which limits hold for which model, what they are shared by, and what is said of them at the end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import MappingProxyType
from typing import Any

from llmbatch.config import Endpoint, ModelSettings, Secret
from llmbatch.pacing import Pacing, Rates, SharedLedger, Surroundings
from llmbatch.pacing.shared_lines import FILE
from tests.pacing.fake_time import FakeTime, Heard, around, turn
from tests.pacing.scene import GOOD, LIMITED

KEY = "sk-pace-" + "k" * 40


class Calls:
    """Calls to the models of a service, in a time that only the test moves."""

    def __init__(self, *, concurrency: int = 64, flags: Rates | None = None, **endpoint: Any) -> None:
        models = {alias: ModelSettings(**settings) for alias, settings in endpoint.pop("models", {}).items()}
        self.endpoint = Endpoint("service", "http://127.0.0.1:9/v1", models=MappingProxyType(models), **endpoint)
        self.time, self.heard = FakeTime(), Heard()
        self.pacing = Pacing(concurrency, around(self.time, self.heard), flags=flags)
        self.entered: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def ask(self, model: str, number: int, *, stay: bool = False) -> None:
        self._tasks += [asyncio.create_task(self._visit(model, stay=stay)) for _ in range(number)]
        await turn()

    async def _visit(self, model: str, *, stay: bool) -> None:
        slot = await self.pacing.admit(self.endpoint, model, b"")
        self.entered.append(model)
        if not stay:
            slot.release()

    async def end(self) -> None:
        await self.pacing.close()
        await asyncio.gather(*self._tasks)


async def test_the_limits_of_an_endpoint_bound_all_its_models_together() -> None:
    """One key, one limit: two models are not twice as many calls."""
    calls = Calls(rpm=60, concurrency=8)
    await calls.ask("a", 20)
    await calls.ask("b", 20)
    await calls.time.advance(9.5)

    assert 9 <= len(calls.entered) <= 11
    assert {"a", "b"} == set(calls.entered)
    await calls.end()


async def test_a_models_own_limits_hold_within_those_of_its_endpoint() -> None:
    """And bound nobody else. They are found by the model's name on the wire."""
    calls = Calls(rpm=600, models={"slow": {"name": "slow-1", "rpm": 60}, "few": {"name": "few-1", "concurrency": 2}})
    await calls.ask("slow-1", 20)
    await calls.ask("few-1", 5, stay=True)
    await calls.ask("b", 5)
    await calls.time.advance(2.5)

    assert (3, 2, 5) == tuple(calls.entered.count(model) for model in ("slow-1", "few-1", "b"))
    await calls.end()


async def test_the_concurrency_of_an_endpoint_and_of_the_run_hold_at_once() -> None:
    """Another endpoint has what this one may not use."""
    calls = Calls(concurrency=5)
    few = Endpoint("few", "http://127.0.0.1:9/v1", concurrency=2)
    slots = [asyncio.create_task(calls.pacing.admit(few, model, b"")) for model in "abcd"]
    await calls.ask("m", 10, stay=True)

    assert 2 == sum(slot.done() for slot in slots)
    assert 3 == len(calls.entered)
    await calls.end()
    await asyncio.gather(*slots)


async def test_what_the_command_line_says_goes_before_the_configuration() -> None:
    """In both places that the configuration may say it."""
    calls = Calls(rpm=1, flags=Rates(rpm=600), models={"m": {"name": "m", "rpm": 2}})
    await calls.ask("m", 30)
    await calls.time.advance(1.05)

    assert 9 <= len(calls.entered) <= 12
    await calls.end()


async def test_the_end_of_the_run_wakes_who_waits() -> None:
    """Who waits for a minute's turn must not keep a run from ending."""
    ended = asyncio.Event()

    async def until_end(seconds: float) -> bool:
        return await ended.wait()

    pacing = Pacing(4, around(FakeTime()), until_end=until_end)
    endpoint = Endpoint("service", "http://127.0.0.1:9/v1", rpm=1)
    tasks = [asyncio.create_task(pacing.admit(endpoint, "m", b"")) for _ in range(3)]
    await turn()
    before = sum(task.done() for task in tasks)
    ended.set()
    await turn()

    assert (1, 3) == (before, sum(task.done() for task in tasks))
    late = await pacing.admit(endpoint, "another", b"")
    assert not late.is_held
    await pacing.close()


async def test_what_moved_is_told_at_the_end_and_what_did_not_is_not() -> None:
    """A sentence for each model."""
    calls = Calls(concurrency=8)
    slots = [await calls.pacing.admit(calls.endpoint, "m", b"") for _ in range(8)]
    slots[0].settle(LIMITED, None, 1.0)
    for slot in slots:
        slot.release()
    calm = await calls.pacing.admit(calls.endpoint, "calm", b"")
    calm.settle(GOOD)
    calm.release()

    assert ["service/m: attempts in flight went from 8 down to 4 and ended at 4, it was paused once"] == (
        calls.pacing.history()
    )
    await calls.end()


async def test_runs_with_one_key_share_and_the_file_has_no_key(tmp_path: Path) -> None:
    """Nor the service's name, the model's, or anything that can be guessed and tried."""
    time = FakeTime()
    endpoint = Endpoint("service", "http://127.0.0.1:9/v1", rpm=60)
    entered = []
    pacings = []
    for key in (KEY, KEY, "another"):
        ledger = SharedLedger(lambda: tmp_path, note=print)
        surroundings = Surroundings(ledger, Heard(), print, time.clock, time.call_later, random=lambda: 0.5)
        pacing = Pacing(4, surroundings, keys={"service": Secret(key)})
        entered.append(asyncio.create_task(pacing.admit(endpoint, "model-x", b"")))
        pacings.append(pacing)
    await turn()

    assert [True, False, True] == [task.done() for task in entered]
    written = b"".join((tmp_path / name).read_bytes() for name in (FILE, f"{FILE}-wal"))
    assert [] == [word for word in (KEY.encode(), b"127.0.0.1", b"model-x", b"service") if word in written]
    for pacing in pacings:
        await pacing.close()
    await asyncio.gather(*entered)


async def test_a_request_that_names_no_model_counts_for_its_endpoint(tmp_path: Path) -> None:
    """As a list of models does: it is booked where all are, and undoes no booking of others."""
    time = FakeTime()
    ledger = SharedLedger(lambda: tmp_path, note=print)
    pacing = Pacing(4, Surroundings(ledger, Heard(), print, time.clock, time.call_later, random=lambda: 0.5))
    endpoint = Endpoint("service", "http://127.0.0.1:9/v1", rpm=60)
    entered = [asyncio.create_task(pacing.admit(endpoint, model, b"")) for model in ("", "m", "")]
    await time.advance(0.5)
    first = [task.done() for task in entered]
    await time.advance(0.6)

    assert [True, False, False] == first
    assert 2 == sum(task.done() for task in entered)
    await pacing.close()
    await asyncio.gather(*entered)


async def test_where_there_is_no_limit_no_file_is_made(tmp_path: Path) -> None:
    """There would be nothing to share."""
    folder = tmp_path / "shared"
    pacing = Pacing(4, Surroundings(SharedLedger(lambda: folder, note=print)))
    (await pacing.admit(Endpoint("service", "http://127.0.0.1:9/v1"), "m", b"")).release()
    await pacing.close()

    assert not folder.exists()
