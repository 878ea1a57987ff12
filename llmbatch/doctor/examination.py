"""The checks in the order in which they are made. A new check is a module of its own and a line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from llmbatch.doctor import key_moves, key_stays, recorded_keys, versions
from llmbatch.doctor.finding import Finding

Check = Callable[[Path | None], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (versions.check, key_moves.check, key_stays.check, recorded_keys.check)


def examine(cassette: Path | None = None) -> Iterator[Finding]:
    """Yield what every check finds, as it finds it; with a cassette, of its requests and files too.

    Raises CassetteDamaged where a file of the cassette cannot be read at all.
    """
    for check in CHECKS:
        yield from check(cassette)
