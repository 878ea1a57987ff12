"""Who a sample is: its declared id, else a hash of its content and an occurrence number. Never its position.

Knows no file and no task. One `Identities` serves one pass over the samples.
"""

from __future__ import annotations

from array import array
from hashlib import blake2b

import orjson

_64_BITS = (1 << 64) - 1


class Identities:
    """The ids given so far in one pass: 12 to 24 bytes each, and an entry for each content that repeats."""

    def __init__(self) -> None:
        self._seen = _DigestSet()
        self._declared = _DigestSet()
        self._copies: dict[int, int] = {}

    def of_content(self, content: bytes) -> str:
        """Return the id of a sample without a declared one: 16 hex, and `-n` for the n-th further copy."""
        digest = blake2b(content, digest_size=8).digest()
        number = int.from_bytes(digest, "big")
        if self._seen.add(number):
            return digest.hex()
        copy = self._copies.get(number, 0) + 1
        self._copies[number] = copy
        return f"{digest.hex()}-{copy}"

    def is_first(self, declared: str) -> bool:
        """Note a declared id; return whether it is new in this pass. False may be an accident of the hash."""
        return self._declared.add(hash(declared) & _64_BITS)


def declared_id(value: object) -> str | None:
    """Return a declared id as text, numbers in their JSON form; None where the value cannot be an id."""
    if type(value) is str or isinstance(value, str):
        return value or None
    if value is None or not isinstance(value, bool | int | float):
        return None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else orjson.dumps(value).decode()


class _DigestSet:
    """A set of 64-bit numbers in one flat array: a set of int objects would take five times as much."""

    def __init__(self) -> None:
        self._mask = 1023
        self._slots = array("Q", bytes(8 * 1024))
        self._used = 0

    def add(self, digest: int) -> bool:
        """Add a number; return whether it is new."""
        digest = digest or 1  # 0 marks an empty slot
        slots, mask = self._slots, self._mask
        at = digest & mask
        while held := slots[at]:
            if held == digest:
                return False
            at = (at + 1) & mask
        slots[at] = digest
        self._used += 1
        if self._used * 3 > mask * 2:
            self._grow()
        return True

    def _grow(self) -> None:
        old, mask = self._slots, self._mask * 2 + 1
        slots = array("Q", bytes(8 * (mask + 1)))
        for digest in old:
            if digest:
                at = digest & mask
                while slots[at]:
                    at = (at + 1) & mask
                slots[at] = digest
        self._slots, self._mask = slots, mask
