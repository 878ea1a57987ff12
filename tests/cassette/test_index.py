"""The index answers as a dict of the winning lines would, in a fraction of its memory."""

from __future__ import annotations

import threading
import tracemalloc
from hashlib import blake2b
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from llmbatch.cassette.index import LARGEST_GENERATION, LARGEST_NUMBER, LARGEST_OFFSET, Index, Place

BYTES_AN_INTERACTION = 64

KEYS = st.integers(0, 300).map(lambda number: blake2b(b"%d" % number, digest_size=16).digest())
PLACES = st.builds(
    Place, st.integers(1, LARGEST_NUMBER), st.integers(0, LARGEST_OFFSET), st.integers(1, 64 * 1024 * 1024)
)
GENERATIONS = st.integers(0, 3) | st.just(LARGEST_GENERATION)
STEPS = st.lists(st.tuples(st.booleans(), KEYS, GENERATIONS, PLACES), max_size=400)


def line_at(place: tuple[int, int, int]) -> bytes:
    """Return the line of a place: some text that two places seldom share."""
    return b"%d" % (hash(place) % 7)


def key_of(number: int) -> bytes:
    return blake2b(b"%d" % number, digest_size=16).digest()


@example([(False, bytes(16), generation, Place(1, 0, 1)) for generation in (1, 2)])  # one line, offered as two
@given(STEPS)
def test_it_holds_what_a_dict_of_the_winners_holds(steps: list[tuple[bool, bytes, int, Place]]) -> None:
    """Highest generation, then smallest line, for what is offered; the last one, for what is put."""
    index = Index()
    model: dict[bytes, tuple[int, Place]] = {}
    for is_put, key, generation, place in steps:
        there = model.get(key)
        wins = there is None or (generation, line_at(there[1])) > (there[0], line_at(place))
        if generation == (there or (None,))[0]:
            wins = line_at(place) < line_at(there[1]) if there else True
        if is_put:
            index.put(key, generation, place)
            model[key] = (generation, place)
        else:
            assert index.offer(key, generation, place, line_at) == wins
            if wins:
                model[key] = (generation, place)

    assert len(model) == len(index)
    assert {key: place for key, (_, place) in model.items()} == {key: index.get(key) for key in model}
    assert all((key_of(number) in index) == (key_of(number) in model) for number in range(301))
    assert sorted(model) == list(index.keys())
    assert sorted(place for _, place in model.values()) == list(index.places())


def test_keys_that_were_made_to_look_alike_are_told_apart() -> None:
    """Keys that differ in one byte only, and such as stand across two rows of the table."""
    index = Index()
    keys = [bytes(15) + bytes([byte]) for byte in range(256)] + [bytes([byte]) + bytes(15) for byte in range(1, 256)]
    for number, key in enumerate(keys):
        index.put(key, 0, Place(number + 1, 0, 1))

    assert [index.get(key) for key in keys] == [Place(number + 1, 0, 1) for number in range(len(keys))]
    assert index.get(b"\1" * 16) is None


def test_an_interaction_takes_no_more_than_64_bytes() -> None:
    """At whatever number the table is looked at: what a full table and a new one take differs most."""
    index = Index()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(12_000):
            index.put(key_of(number), 0, Place(1 + (number >> 14), (number & 0x3FFF) * 3500, 3500))
            if number in (5_000, 10_900, 10_930, 11_999):
                assert tracemalloc.get_traced_memory()[0] - before <= BYTES_AN_INTERACTION * number, number
        assert tracemalloc.get_traced_memory()[1] - before <= 2 * BYTES_AN_INTERACTION * number
    finally:
        tracemalloc.stop()


def test_it_can_be_asked_while_it_grows() -> None:
    """What was put is found from then on by every thread, in whatever state the table is."""
    index = Index()
    known = 0
    lost: list[int] = []
    done = threading.Event()

    def ask() -> None:
        asked = 0
        while not done.is_set():
            number = (asked * 7919) % max(1, known)
            if known and index.get(key_of(number)) != Place(1, number, 1):
                lost.append(number)
            counts.append(len(list(index.keys())) if asked % 500 == 0 else counts[-1])
            asked += 1

    counts = [0]
    thread = threading.Thread(target=ask)
    thread.start()
    for number in range(30_000):
        index.put(key_of(number), 0, Place(1, number, 1))
        known = number + 1
    done.set()
    thread.join()

    assert lost == []
    assert all(earlier <= later for earlier, later in pairwise(counts))
