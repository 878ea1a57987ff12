"""Check: every line of a cassette is what was written, and its key that of the request recorded with it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from llmbatch.cassette.store import Store
from llmbatch.cassette.verify import problems_of
from llmbatch.doctor.finding import Finding
from llmbatch.errors import ExitCode

_MOST_SHOWN = 10


def check(cassette: Path | None) -> Iterator[Finding]:
    """Yield a finding for the cassette, if there is one. Raises CassetteDamaged."""
    if cassette is None:
        return
    problems = tuple(islice(problems_of(cassette), _MOST_SHOWN))
    with Store(cassette) as store:
        yield Finding("recorded keys", f"{len(store):,} answers of {cassette}", problems, ExitCode.NO_ANSWER)
