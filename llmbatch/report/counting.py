"""Numbers with their nouns. Pure."""

from __future__ import annotations


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun; the plural is the singular with an s unless it is given."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
