"""The gates hold their limits whatever is cancelled or resized, in the order of asking."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmbatch.pacing.gate import Gate
from tests.pacing.fake_time import turn
from tests.pacing.scene import BROKEN, GOOD, LATE, LIMITED, Scene


async def test_attempts_enter_in_the_order_in_which_they_asked() -> None:
    """Nobody is overtaken."""
    scene = Scene(slots=1)
    await scene.ask(20)
    await turn(100)

    assert list(range(20)) == [number for number, _ in scene.entered]
    assert (0, 1) == (scene.own_gate.in_use, scene.own_gate.highest_in_use)


async def test_attempts_that_are_made_again_go_before_those_never_made() -> None:
    """In the order in which they ask: what was begun is ended first, and a probe is one that was refused before."""
    scene = Scene(slots=1)
    await scene.ask(3, stay=True)
    await scene.ask(2, stay=True, again=True)
    for _ in range(4):
        scene.answer(GOOD)
        await turn()

    assert [0, 3, 4, 1, 2] == [number for number, _ in scene.entered]


async def test_a_gate_that_grows_lets_in_and_one_that_shrinks_takes_no_slot_away() -> None:
    """Nobody enters until enough have left."""
    scene = Scene(slots=2)
    await scene.ask(9, stay=True)
    scene.own_gate.resize(4)
    scene.own_gate.call_waiting()
    await turn()
    grown = len(scene.entered)
    scene.own_gate.resize(1)
    for _ in range(3):
        scene.answer(GOOD)
    await turn()

    assert (4, 4) == (grown, len(scene.entered))
    scene.answer(GOOD)
    await turn()
    assert 5 == len(scene.entered)
    scene.cancel()


async def test_models_that_share_a_gate_take_turns() -> None:
    """A thousand cases of one do not keep another's out."""
    run = Gate(1)
    first, second = Scene(gates=[run]), Scene(gates=[run])
    await first.ask(5, stay=True)
    await second.ask(5, stay=True)
    order = []
    for _ in range(6):
        inside = first if first.slots else second
        order.append("first" if inside is first else "second")
        inside.answer(GOOD)
        await turn()

    assert ["first", *["first", "second"] * 3][:6] == order  # the first one's second had asked before the other's
    first.cancel()
    second.cancel()


async def test_a_slot_handed_to_one_that_is_cancelled_goes_to_the_next() -> None:
    """Cancellation may arrive between the hand-over and the waking."""
    scene = Scene(slots=1)
    await scene.ask(3, stay=True)
    scene.answer(GOOD)
    scene.tasks[1].cancel()
    await turn()

    assert [0, 2] == [number for number, _ in scene.entered]
    assert 1 == scene.own_gate.in_use
    scene.cancel()


@given(st.integers(0, 2**32), st.integers(1, 8), st.sampled_from([None, 60_000.0]))
@settings(max_examples=30)
def test_no_mix_of_visits_cancellations_pauses_and_resizes_loses_a_slot(
    seed: int, slots: int, rpm: float | None
) -> None:
    """The limit holds at every entry; at the end every slot is back, and everybody was let in or cancelled."""

    async def scenario() -> Scene:
        chance, scene, largest = random.Random(seed), Scene(slots=slots, rpm=rpm), slots

        async def visit() -> None:
            slot = await scene.lane.admit(b"")
            try:
                assert scene.own_gate.in_use <= largest
                await turn(chance.randrange(4))
                slot.settle(chance.choice([GOOD, GOOD, LIMITED, BROKEN, LATE]), None, chance.choice([None, 0.5]))
            finally:
                slot.release()

        tasks = []
        for _ in range(60):
            tasks.append(asyncio.create_task(visit()))
            if chance.random() < 0.3:
                chance.choice(tasks).cancel()
            if chance.random() < 0.2:
                size = chance.randint(1, 8)
                largest = max(largest, size)
                scene.own_gate.resize(size)
                scene.own_gate.call_waiting()
            await scene.time.advance(chance.choice([0.0, 0.0, 0.001, 0.3]))
        for _ in range(200):
            await scene.time.advance(1.0)
        assert all(task.done() for task in tasks)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(result is None or isinstance(result, asyncio.CancelledError) for result in results)
        return scene

    assert 0 == asyncio.run(scenario()).own_gate.in_use


async def test_the_end_of_the_run_lets_everybody_through() -> None:
    """They are told elsewhere that nothing is sent; here they must not wait an hour for it."""
    scene = Scene(rpm=1, slots=1)
    await scene.ask(5, stay=True)
    scene.lane.end()
    await scene.ask(2, stay=True)

    assert 7 == len(scene.entered)
    assert 1 == scene.own_gate.in_use
    for slot in scene.slots:
        slot.release()
    assert 0 == scene.own_gate.in_use


@pytest.mark.parametrize("limit", [0, -1])
def test_a_gate_that_would_never_open_is_refused(limit: int) -> None:
    """A run that hangs is worse than one that does not start."""
    with pytest.raises(ValueError, match="never open"):
        Gate(limit)
