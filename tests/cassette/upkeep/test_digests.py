"""A set of keys in eight bytes each is a set."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llmbatch.cassette.upkeep.digests import Digests

keys = st.lists(st.binary(min_size=8, max_size=16).map(lambda key: key[:8] + b"tail"))


@given(keys, keys, keys)
def test_it_holds_what_was_added_and_nothing_else(first: list[bytes], second: list[bytes], others: list[bytes]) -> None:
    """Also when it is added to after it was asked."""
    digests = Digests()
    for added in (first, second):
        for key in added:
            digests.add(key)
        len(digests)

    assert len({*first, *second}) == len(digests)
    assert [key in {*first, *second} for key in others] == [key in digests for key in others]
