"""Which line answers a key, and where it is. Knows no file: a place is three numbers.

The rule which of several lines wins is here and nowhere else: the highest generation that may answer,
then the smallest line.

In memory a line is a row of 32 bytes, and an open-addressing table of 4-byte row numbers leads to it: 40 to 60
bytes an interaction, where a dict would take 200.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from typing import NamedTuple

LARGEST_NUMBER = (1 << 24) - 1
"""The highest number of a file."""
LARGEST_OFFSET = (1 << 40) - 1
LARGEST_GENERATION = (1 << 32) - 1

_ROW = struct.Struct("=16sQII")  # key, number and offset, length, generation
_KEY_OF_ROW = struct.Struct("=16s16x")
_ROW_BYTES = 32
_OFFSET_BITS = 40
_OFFSET_MASK = (1 << _OFFSET_BITS) - 1
_FEWEST_SLOTS = 64
_GROWTH = 4
_ROWS_AT_ONCE = 4096

Position = tuple[int, int, int]
"""A Place, or a bare tuple of the same three numbers: making one takes a tenth of the time."""


class Place(NamedTuple):
    """Where a line is: the number of its file, its offset there, its length with the newline."""

    number: int
    offset: int
    length: int


_place: Callable[[Position], Place] = partial(tuple.__new__, Place)  # a third of the time of Place(...)


class Index:
    """Key to place, for one kind of file.

    One thread may change it while others look up: a row is read and written in one step, and a table that was made
    anew is swapped in when all is in it.
    """

    def __init__(self) -> None:
        self._count = 0
        self._rows = bytearray(_ROW_BYTES)  # row 0 is none: a slot that holds 0 is free
        # the hash is Python's, salted for each process: nobody can make a cassette whose keys all want one slot
        self._slots = array("I", bytes(4 * _FEWEST_SLOTS))
        self._most = _FEWEST_SLOTS * 2 // 3

    def __len__(self) -> int:
        return self._count

    def __contains__(self, key: bytes) -> bool:
        return self.get(key) is not None

    def get(self, key: bytes) -> Place | None:
        """Return the place of the line that wins."""
        slots, rows = self._slots, self._rows
        mask = len(slots) - 1
        slot = hash(key) & mask
        while row := slots[slot]:
            there, packed, length, _ = _ROW.unpack_from(rows, row * _ROW_BYTES)
            if there == key:
                return _place((packed >> _OFFSET_BITS, packed & _OFFSET_MASK, length))
            slot = (slot + 1) & mask
        return None

    def keys(self) -> Iterator[bytes]:
        """Yield all keys, sorted. Holds 16 bytes a key."""
        by_first_byte = [bytearray() for _ in range(256)]
        for key, _, _, _ in self._all_rows():
            by_first_byte[key[0]] += key
        for some in by_first_byte:
            yield from sorted(key for (key,) in struct.iter_unpack("16s", some))

    def places(self) -> Iterator[Place]:
        """Yield the places of the lines that win, in the order of the files. Holds 12 bytes a line."""
        by_file: dict[int, tuple[array[int], array[int]]] = {}
        for _, packed, length, _ in self._all_rows():
            number = packed >> _OFFSET_BITS
            offsets, lengths = by_file.get(number) or by_file.setdefault(number, (array("Q"), array("I")))
            offsets.append(packed & _OFFSET_MASK)
            lengths.append(length)
        for number in sorted(by_file):
            for offset, length in sorted(zip(*by_file.pop(number), strict=True)):
                yield Place(number, offset, length)

    def put(self, key: bytes, generation: int, place: Position) -> None:
        """Set the line of a key, whatever was there: the last outcome counts."""
        self.offer(key, generation, place, None)

    def offer(self, key: bytes, generation: int, place: Position, read: Callable[[Position], bytes] | None) -> bool:
        """Set the line of a key if it wins over the one there, and return whether it did.

        `read` gives the bytes of a line, and is called only when generations tie.
        """
        number, offset, length = place
        slots, rows = self._slots, self._rows
        mask = len(slots) - 1
        slot = hash(key) & mask
        while row := slots[slot]:
            at = row * _ROW_BYTES
            if rows.startswith(key, at):
                if read is not None:
                    _, packed, there_length, before = _ROW.unpack_from(rows, at)
                    there = (packed >> _OFFSET_BITS, packed & _OFFSET_MASK, there_length)
                    if generation < before:
                        return False
                    if generation == before and (there == place or read(place) >= read(there)):
                        return False
                _ROW.pack_into(rows, at, key, number << _OFFSET_BITS | offset, length, generation)
                return True
            slot = (slot + 1) & mask
        rows += _ROW.pack(key, number << _OFFSET_BITS | offset, length, generation)
        self._count = count = self._count + 1
        slots[slot] = count
        if count > self._most:
            self._grow()
        return True

    def _grow(self) -> None:
        slots = array("I", bytes(4 * _GROWTH * len(self._slots)))
        mask = len(slots) - 1
        for number, (key,) in enumerate(chain.from_iterable(map(_KEY_OF_ROW.iter_unpack, self._pieces())), 1):
            slot = hash(key) & mask
            while slots[slot]:
                slot = (slot + 1) & mask
            slots[slot] = number
        self._slots = slots
        self._most = len(slots) * 2 // 3

    def _all_rows(self) -> Iterator[tuple[bytes, int, int, int]]:
        return chain.from_iterable(map(_ROW.iter_unpack, self._pieces()))

    def _pieces(self) -> Iterator[bytes]:
        # copies: a bytearray that is looked into cannot grow
        piece = _ROWS_AT_ONCE * _ROW_BYTES
        for start in range(_ROW_BYTES, (self._count + 1) * _ROW_BYTES, piece):
            yield bytes(self._rows[start : start + piece])
