"""The table of all classes of failure, from real runs:

python -m tests.chaos.failure_table            run all of them, compare with the declarations, write docs/failures.md
python -m tests.chaos.failure_table --only 11  run those of some classes, and write nothing
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from tests.chaos.classes import FAILURES, MAX_RETRIES, SERVED, Served
from tests.chaos.measuring import Measured, measure_alone, measure_together

PAGE = Path(__file__).parents[2] / "docs" / "failures.md"
_OF = {
    "ask": "",
    "stream": " (a stream)",
    "raises": " (an answer that comes)",
    "alone": " (the first answer)",
    "proxy": " (an answer, by the proxy)",
    "many": " (300 samples, 64 at once)",
    "disk": " (60 samples)",
    "interrupt": " (40 samples, 8 at once)",
}
_INTRODUCTION = f"""# Failures

Every class of failure that a service, a network or a machine has in store: what was served, how many calls the server
saw, how many of them the model worked at (so that they are billed), what the row says and how the run ended. Each line
is a real run of `llmbatch exp` against the fault server of the tests, with `max_retries = {MAX_RETRIES}` and one sample
unless it says otherwise; `python -m tests.chaos.failure_table` runs them all and writes this page.

What was served is in the words of `tests/support/fault_server`: `500 x1` is a 500 on the first attempt, after which the
answer comes; `500` is one on every attempt; `with a=b` is a good answer with that header. A row `ok` has its answer.
Exit code 1 says that this case has no answer and that the next run asks for it again (`bad_request`, `context_length`
and the `invalid_json` of a whole answer are kept instead); 6, 7 and 2 say that the run stopped, and that the same
command goes on.

| class | failure | served | calls | billed | row | exit code |
|---|---|---|---|---|---|---|
"""


def page() -> str:
    """Return docs/failures.md as the declarations say it."""
    return _INTRODUCTION + "".join(_line(served) for served in SERVED)


def _line(served: Served) -> str:
    cells = (
        str(served.number),
        FAILURES[served.number],
        f"`{served.fault}`{_OF[served.how]}" if served.how in _OF else served.fault,
        _count(served.calls),
        _count(served.billed),
        f"`{served.row}`",
        str(served.exit_code),
    )
    return f"| {' | '.join(cells)} |\n"


def _count(count: int | tuple[int, int]) -> str:
    return f"{count[0]} to {count[1]}" if isinstance(count, tuple) else str(count)


def measure(folder: Path, chosen: Sequence[Served]) -> Iterator[tuple[Served, Measured]]:
    """Run what was chosen: in one run for each exit code what stops no run, the others each alone."""
    together = sorted((each for each in chosen if not each.alone), key=lambda each: each.exit_code)
    for code, group in groupby(together, key=lambda each: each.exit_code):
        served = list(group)
        yield from zip(served, measure_together(folder / f"exit-{code}", served), strict=True)
    for number, each in enumerate(each for each in chosen if each.alone):
        yield each, measure_alone(folder / f"alone-{number}", each)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=int, action="append", help="a class; may repeat")
    options = parser.parse_args()
    started = time.monotonic()
    chosen = [each for each in SERVED if options.only is None or each.number in options.only]
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        for served, measured in measure(Path(folder), chosen):
            print(_line(served).strip(), "" if not measured.differs(served) else f"  WRONG {measured}", flush=True)
            wrong.append(measured.differs(served))
    wrong = [each for each in wrong if each]
    print(
        "\n".join([*wrong, f"{len(chosen)} served, {len(wrong)} not as declared, {time.monotonic() - started:.0f} s"])
    )
    if options.only is None and not wrong:
        PAGE.write_text(page(), encoding="utf-8", newline="\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
