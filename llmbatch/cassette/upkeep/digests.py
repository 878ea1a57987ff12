"""A set of many keys or ids in 8 bytes each. Knows no file."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from hashlib import blake2b


class Digests:
    """Members are told by 64 bits: one that was never added is taken for a member once in 10^13 look-ups in a million.

    Fill it first, then ask; adding after asking sorts anew. Of one thread at a time.
    """

    def __init__(self) -> None:
        self._numbers = array("Q")
        self._sorted = 0

    def __contains__(self, digest: bytes) -> bool:
        numbers = self._in_order()
        number = _number(digest)
        at = bisect_left(numbers, number)
        return at < len(numbers) and numbers[at] == number

    def __len__(self) -> int:
        """Return how many different ones were added."""
        return len(self._in_order())

    def add(self, digest: bytes) -> None:
        """Add a key: at least 8 bytes that are spread evenly."""
        self._numbers.append(_number(digest))

    def _in_order(self) -> array[int]:
        if len(self._numbers) != self._sorted:
            self._numbers = array("Q", sorted(set(self._numbers)))
            self._sorted = len(self._numbers)
        return self._numbers


def digest_of_text(text: str) -> bytes:
    """Return what a text is added and asked by."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _number(digest: bytes) -> int:
    return int.from_bytes(digest[:8], "big")
