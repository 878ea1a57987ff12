"""Starts, pauses, probes and what replies teach, for one endpoint and model in a time that only the test moves."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmbatch.call.values import Reply
from llmbatch.pacing.booking import Rates
from llmbatch.policy import Verdict
from tests.pacing.fake_time import turn
from tests.pacing.scene import BROKEN, GOOD, LATE, LIMITED, OVERLOADED, Scene


async def test_starts_are_spaced_and_a_process_that_was_stopped_makes_up_for_nothing() -> None:
    """60 a minute is one a second, also after half a minute in which the process stood still."""
    scene = Scene(rpm=60)
    await scene.ask(10)
    await scene.time.advance(2.5)
    before = [at for _, at in scene.entered]
    scene.time.stall(30)
    await scene.time.advance(3.0)
    after = [at for _, at in scene.entered[len(before) :]]

    assert pytest.approx([0.0, 1.0, 2.0], abs=0.11) == before
    assert len(after) in {3, 4}
    assert all(later - earlier > 0.89 for earlier, later in pairwise(after))
    scene.cancel()


@given(
    st.integers(60, 12_000),
    st.lists(st.tuples(st.floats(0, 0.4), st.integers(0, 30), st.booleans()), min_size=1, max_size=25),
)
@settings(max_examples=25)
def test_no_second_has_more_than_its_share_whatever_stalls(rpm: int, steps: list[tuple[float, int, bool]]) -> None:
    """As it is used, not only as it is booked: late starts, made-up time and the one at the edge all counted."""

    async def scenario() -> list[float]:
        scene = Scene(rpm=rpm)
        for seconds, number, is_stall in steps:
            await scene.ask(number)
            if is_stall:
                scene.time.stall(seconds)
            else:
                await scene.time.advance(seconds)
        scene.cancel()
        return [at for _, at in scene.entered]

    entered = asyncio.run(scenario())
    most = max((sum(at - 1 < other <= at for other in entered) for at in entered), default=0)
    assert most <= rpm / 60 * (1 + Rates(rpm).late_seconds) + 1 + 1e-6


async def test_tokens_are_booked_by_estimate_and_settled_by_usage() -> None:
    """4,000 tokens a minute would be 8 answers of at most 500; they take 50, so it is soon 80."""
    scene = Scene(tpm=4000)
    await scene.ask(40, b'{"max_tokens":500}', stay=True)
    reply = Reply(200, "OK", {}, b'{"usage":{"prompt_tokens":5,"completion_tokens":45}}')
    for _ in range(60):
        await scene.time.advance(1.0)
        while scene.slots:
            slot = scene.slots.pop()
            slot.settle(GOOD, reply)
            slot.release()

    assert 40 == len(scene.entered)
    assert 8 > len([at for _, at in scene.entered if at < 1.0])
    assert 20 < scene.entered[-1][1] < 45


async def test_a_request_beyond_a_minutes_tokens_is_let_through_and_said_once() -> None:
    """To wait for a bucket that can never hold it would be to wait for ever."""
    scene = Scene(tpm=100)
    await scene.ask(2, b'{"max_tokens":400}')
    first = len(scene.entered)
    await scene.time.advance(260)

    assert (1, 2) == (first, len(scene.entered))
    assert 1 == len(scene.heard.notes)
    assert "service/m takes about 404 tokens, more than a minute's 100 (tpm)" in scene.heard.notes[0]


async def test_many_refusals_are_one_shrink_and_everybody_waits_as_long_as_is_asked() -> None:
    """Those who wait in the queue too; then one goes alone, and when it is answered the rest follows."""
    scene = Scene(slots=64)
    await scene.ask(100, stay=True)
    for _ in range(64):
        scene.answer(LIMITED, 5.0)
    await scene.time.advance(4.9)
    during = len(scene.entered)
    await scene.time.advance(0.2)
    probe = len(scene.entered)
    scene.answer(GOOD)
    await turn()

    assert (64, 65, 65 + 32) == (during, probe, len(scene.entered))
    assert [(64, 32), (32, 0), (0, 32)] == scene.heard.limits()
    assert 1 == scene.lane.pauses
    scene.cancel()


async def test_a_probe_that_is_refused_pauses_again_and_nothing_freezes() -> None:
    """However often and long a service says later, it is asked again, and answers open the way."""
    scene = Scene(slots=4)
    await scene.ask(60, stay=True)
    for _ in range(4):
        scene.answer(LIMITED, 100.0)
    for probe in range(3):
        await scene.time.advance(101.0)
        assert 5 + probe == len(scene.entered)
        scene.answer(LIMITED, 100.0)
    assert 2 == scene.lane.concurrency.limit  # of the four refused together; one alone says nothing of how many
    await scene.time.advance(101.0)
    for _ in range(52):
        scene.answer(GOOD)
        await turn()

    assert 60 == len(scene.entered)
    assert 4 == scene.lane.concurrency.limit
    scene.cancel()


async def test_a_probe_that_takes_long_holds_nobody_up_for_long() -> None:
    """A refusal comes at once; an answer may take minutes."""
    scene = Scene(slots=4)
    await scene.ask(8, stay=True)
    for _ in range(4):
        scene.answer(OVERLOADED, 30.0)
    await scene.time.advance(30.1)
    alone = len(scene.entered)
    await scene.time.advance(2.0)

    assert (5, 8) == (alone, len(scene.entered))


async def test_a_pause_is_capped() -> None:
    """Whoever asks for a day is looked at again after two minutes."""
    scene = Scene()
    await scene.ask(1, stay=True)
    scene.answer(OVERLOADED, 86_400.0)
    await scene.ask(1)
    await scene.time.advance(119.0)
    before = len(scene.entered)
    await scene.time.advance(1.1)

    assert (1, 2) == (before, len(scene.entered))
    assert [] == scene.heard.notes  # such a wait stops the run, and that is said


async def test_a_long_pause_is_said_once_for_all_who_wait() -> None:
    """The run has not hung."""
    scene = Scene(slots=8)
    await scene.ask(20, stay=True)
    for _ in range(8):
        scene.answer(LIMITED, 30.0)

    assert ["nothing is sent to service/m for 30 s: the service asks for a pause: rate_limited"] == scene.heard.notes
    scene.cancel()


@pytest.mark.parametrize("verdict", [BROKEN, LATE, OVERLOADED], ids=["5xx", "time-out", "overloaded"])
async def test_errors_and_time_outs_leave_the_limit_where_it_is(verdict: Verdict) -> None:
    """They say nothing about how many are too many."""
    scene = Scene(slots=8)
    await scene.ask(8, stay=True)
    for _ in range(8):
        scene.answer(verdict)
    await scene.ask(8)

    assert [] == scene.heard.limits()
    assert 16 == len(scene.entered)


async def test_it_grows_again_on_answers_and_tells_the_log_every_step() -> None:
    """From a half to the whole, never beyond."""
    scene = Scene(slots=8)
    await scene.ask(200, stay=True)
    scene.answer(LIMITED)
    while scene.slots:
        scene.answer(GOOD)
        await turn()

    assert [(8, 4), (4, 5), (5, 6), (6, 7), (7, 8)] == scene.heard.limits()
    assert {"service"} == {details["endpoint"] for _, details in scene.heard.events}
    assert ["rate limit", "answers came"] == list(dict.fromkeys(details["why"] for _, details in scene.heard.events))


async def test_limits_that_a_reply_states_are_kept_from_then_on() -> None:
    """Where nobody configured any; said once."""
    scene = Scene()
    await scene.ask(1, stay=True)
    scene.answer(GOOD, limit_requests="60", limit_tokens="90000")
    await scene.ask(5, stay=True)
    await scene.time.advance(2.5)
    scene.answer(GOOD, limit_requests="60", limit_tokens="90000")

    assert 1 + 3 == len(scene.entered)
    assert [("learned", {"endpoint": "service", "model": "m", "rpm": 60.0, "tpm": 90000.0})] == scene.heard.events
    scene.cancel()


async def test_a_configured_limit_is_not_overruled_by_a_stated_one() -> None:
    """What the person says counts: the headers of some services speak of a day."""
    scene = Scene(rpm=60)
    await scene.ask(1, stay=True)
    scene.answer(GOOD, limit_requests="60000")
    await scene.ask(50)
    await scene.time.advance(1.0)

    assert len(scene.entered) < 4
    assert [] == scene.heard.events
    scene.cancel()


async def test_nothing_is_sent_while_nothing_remains() -> None:
    """The next would only be refused."""
    scene = Scene()
    await scene.ask(1, stay=True)
    scene.answer(GOOD, remaining_requests="0", reset_requests="2s", limit_requests="60000")
    await scene.ask(3)
    await scene.time.advance(1.9)
    before = len(scene.entered)
    await scene.time.advance(2.2)

    assert (1, 4) == (before, len(scene.entered))
