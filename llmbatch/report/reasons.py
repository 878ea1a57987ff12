"""Why calls miss, as a page that a person reads. Prints nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from llmbatch.cassette.upkeep.looking.nearest import Relation
from llmbatch.cassette.upkeep.looking.reasons import Reason
from llmbatch.report.counting import counted
from llmbatch.report.page import Field, Heading, Part

MOST_SHOWN = 20
_MOST_DIFFERENCES = 4
_MOST_VARIANTS = 5
ALIAS = (
    "only the address differs: give the endpoint the recorded base URL, "
    "or make it an alias of that (`llmbatch cassette alias`), and the recorded answers count"
)


def page_of_reasons(reasons: list[Reason]) -> Iterator[Part]:
    """Yield each reason with its count, its variants, the nearest recorded request and what differs."""
    for reason in reasons[:MOST_SHOWN]:
        yield from _page_of(reason)
    if len(reasons) > MOST_SHOWN:
        rest = reasons[MOST_SHOWN:]
        calls = sum(reason.count for reason in rest)
        yield Heading(f"{counted(calls, 'more call')} for {counted(len(rest), 'other reason')}", level=2)


def _page_of(reason: Reason) -> Iterator[Part]:
    calls = counted(reason.count, "call")
    nearest = reason.nearest
    if nearest is None:
        yield Heading(f"{calls}: nothing is recorded that could be compared", level=2)
    elif nearest.relation is Relation.UNFINISHED:
        yield Heading(f"{calls}: recorded, but in a generation that is not complete", level=2)
    elif reason.is_elsewhere:
        yield Heading(f"{calls}: recorded under another address", level=2)
    elif nearest.relation >= Relation.SAME_SAMPLE:
        yield Heading(f"{calls}: the case is not recorded", level=2)
    else:
        yield Heading(f"{calls}: {_fields(reason)}", level=2)
    yield from _variants(reason)
    yield Field("for example", reason.example.case or "a request that belongs to no case")
    request = reason.example.call.request
    yield Field("asks", f"{request.method} {request.url}, key {reason.example.call.key.hex()}")
    if nearest is None:
        return
    yield Field("nearest", f"{nearest.relation.words}: {nearest.case or 'no case'}, key {nearest.key.hex()}")
    for number, words in enumerate(reason.words(_MOST_DIFFERENCES)):
        yield Field("" if number else "differs", words)
    if reason.is_elsewhere:
        yield Field("fix", ALIAS)
    elif nearest.relation is Relation.UNFINISHED:
        yield Field("fix", "run the same command in --record-mode all again: it goes on where that recording stopped")


def _fields(reason: Reason) -> str:
    assert reason.nearest is not None
    found = reason.nearest.differences
    names: Iterable[str] = [each.place for each in found] if reason.same_places else [each.field for each in found]
    distinct = list(dict.fromkeys(names))
    more = f" and {len(distinct) - 2} more" if len(distinct) > 3 else ""
    shown = distinct[:2] if more else distinct
    return f"{', '.join(shown)}{more} {'differs' if len(distinct) == 1 else 'differ'}"


def _variants(reason: Reason) -> Iterator[Part]:
    for number, (title, count) in enumerate(reason.variants.most_common(_MOST_VARIANTS)):
        yield Field("" if number else "of", f"{title}  ({count:,})")
    if len(reason.variants) > _MOST_VARIANTS:
        yield Field("", f"and {len(reason.variants) - _MOST_VARIANTS:,} more variants")
