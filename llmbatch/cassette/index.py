"""Which line answers a key, and where it is. Knows no body: a place is three numbers packed into one.

The rule which of several lines wins is here and nowhere else: the highest generation that may answer,
then the smallest line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

_LENGTH_BITS = 27  # RECORD_CAP is 2**26
_OFFSET_BITS = 40
_LENGTH_MASK = (1 << _LENGTH_BITS) - 1
_OFFSET_MASK = (1 << _OFFSET_BITS) - 1


class Place(NamedTuple):
    """Where a line is: the number of its file, its offset there, its length with the newline."""

    number: int
    offset: int
    length: int


class Index:
    """Key to place, for one kind of file."""

    def __init__(self) -> None:
        self._places: dict[bytes, int] = {}
        self._generations: dict[bytes, int] = {}  # only those above 0, which are few

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: bytes) -> bool:
        return key in self._places

    def get(self, key: bytes) -> Place | None:
        """Return the place of the line that wins."""
        packed = self._places.get(key)
        return None if packed is None else _unpack(packed)

    def keys(self) -> list[bytes]:
        """Return all keys, sorted."""
        return sorted(self._places)

    def places(self) -> Iterator[Place]:
        """Yield the places of the lines that win, in the order of the files."""
        return map(_unpack, sorted(self._places.values()))

    def put(self, key: bytes, generation: int, place: Place) -> None:
        """Set the line of a key, whatever was there: the last outcome counts."""
        self._places[key] = _pack(place)
        if generation:
            self._generations[key] = generation
        elif self._generations:
            self._generations.pop(key, None)

    def offer(self, key: bytes, generation: int, place: Place, read: Callable[[Place], bytes]) -> None:
        """Set the line of a key if it wins over the one there; `read` is called only when generations tie."""
        there = self._places.get(key)
        if there is not None:
            before = self._generations.get(key, 0)
            if generation < before:
                return
            if generation == before and read(place) >= read(_unpack(there)):
                return
        self.put(key, generation, place)


def _pack(place: Place) -> int:
    return (place.number << (_OFFSET_BITS + _LENGTH_BITS)) | (place.offset << _LENGTH_BITS) | place.length


def _unpack(packed: int) -> Place:
    rest = packed >> _LENGTH_BITS
    return Place(rest >> _OFFSET_BITS, rest & _OFFSET_MASK, packed & _LENGTH_MASK)
