"""The statistics of a cassette as grids for a terminal. Knows the counts only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from llmbatch.cassette.upkeep.looking.statistics import Statistics, Used
from llmbatch.report.counting import counted
from llmbatch.report.grid import Grid
from llmbatch.report.page import Field, Heading, Part
from llmbatch.report.safe import safe

MOST_ROWS = 40
_NUMBERS = ("n", "tokens in", "out", "cost $")


def grids_of_statistics(found: Statistics) -> list[Grid]:
    """Return the grids in the order in which they are read: models, variants, then what is rare."""
    grids = [_models(found), _variants(found)]
    statuses = {str(status): n for status, n in sorted(found.statuses.items())}
    if set(statuses) - {"200"}:
        grids.append(_counts("answers by HTTP status", "status", statuses))
    if set(found.generations) - {0}:
        complete = set(found.complete_generations)
        grids.append(
            _counts(
                "lines by generation",
                "generation",
                {
                    f"{number}{'' if number in complete else ' (not complete: answers nothing)'}": n
                    for number, n in sorted(found.generations.items())
                },
            )
        )
    if found.failures:
        grids.append(_counts("attempts without an answer, by class", "class", found.failures))
    return [grid for grid in grids if grid.rows]


def overview_of(name: str, found: Statistics) -> Iterator[Part]:
    """Yield what there is, in a few lines."""
    total = found.total
    rows = [("interactions", f"{found.answering:,}")]
    if found.lines != found.answering:
        rows.append(("lines", f"{found.lines:,}, of which {found.lines - found.answering:,} do not answer"))
    files = (
        ", ".join(f"{n:,} {kind}" for kind, n in sorted(found.files.items(), reverse=True))
        or "none, so this is an empty cassette, or no cassette"
    )
    rows += [("on disk", f"{bytes_text(found.bytes)} in files: {files}")]
    if found.lines:
        rows.append(("recorded", f"{_instant(found.first)} to {_instant(found.last)} UTC"))
        rows += [("endpoint", f"{text}  ({n:,})") for text, n in _largest(found.endpoints)]
        rows.append(("status", ", ".join(f"{status}: {n:,}" for status, n in sorted(found.statuses.items()))))
        rows.append(("tokens", f"{total.tokens_in:,} in, {total.tokens_out:,} out"))
        rows.append(("cost", _cost_words(total)))
    rows.append(("failed", counted(sum(found.failures.values()) - found.duplicates, "attempt")))
    if found.duplicates:
        rows.append(("duplicates", f"{counted(found.duplicates, 'second answer')}, kept for the cost"))
    used = found.unserved
    if used.interactions:
        attempts = f"{used.interactions:,} of these"
        rows.append(
            ("paid besides", f"{attempts}: {used.tokens_in:,} in, {used.tokens_out:,} out, {_cost_words(used)}")
        )
    yield Heading(f"cassette {name}")
    yield from (Field(label, text) for label, text in rows)


def bytes_text(size: int) -> str:
    """Return a size in decimal units, as file managers give it: 812 B, 1.5 MB."""
    amount, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 999.5:
            break
        amount, unit = amount / 1000, larger
    return f"{size} B" if unit == "B" else f"{amount:.1f} {unit}"


def _models(found: Statistics) -> Grid:
    rows, notes = [], []
    ordered = sorted(found.models.items(), key=lambda pair: (-pair[1].interactions, pair[0]))
    for model, used in ordered[:MOST_ROWS]:
        # what was returned says nothing new where it is what was asked for
        returned = "the same" if model.returned == model.asked else model.returned
        rows.append((_cell(model.endpoint), _cell(model.asked), _cell(returned), *_numbers(used)))
    if len(ordered) > MOST_ROWS:
        notes.append(f"and {len(ordered) - MOST_ROWS:,} more")
    headers = ("endpoint", "model", "returned", *_NUMBERS)
    return _without_unknown_cost(Grid("models", headers, (False,) * 3 + (True,) * 4, tuple(rows), tuple(notes)))


def _variants(found: Statistics) -> Grid:
    ordered = list(found.variants.items())
    rows = [(_cell(title), *_numbers(used)) for title, used in ordered[:MOST_ROWS]]
    notes = (f"and {len(ordered) - MOST_ROWS:,} more",) if len(ordered) > MOST_ROWS else ()
    title = "tasks and variants, by the case that asked first"
    return _without_unknown_cost(Grid(title, ("variant", *_NUMBERS), (False,) + (True,) * 4, tuple(rows), notes))


def _without_unknown_cost(grid: Grid) -> Grid:
    """Leave the last column out where nothing in it is known."""
    if any(row[-1] != "-" for row in grid.rows):
        return grid
    rows = tuple(row[:-1] for row in grid.rows)
    return Grid(grid.title, grid.headers[:-1], grid.numeric[:-1], rows, grid.notes)


def _counts(title: str, header: str, counts: Mapping[str, int]) -> Grid:
    return Grid(title, (header, "n"), (False, True), tuple((_cell(name), f"{n:,}") for name, n in counts.items()))


def _numbers(used: Used) -> tuple[str, str, str, str]:
    cost = "-" if used.unpriced == used.interactions else f"{used.cost_usd:,.4f}"
    return f"{used.interactions:,}", f"{used.tokens_in:,}", f"{used.tokens_out:,}", cost


def _cost_words(total: Used) -> str:
    if total.unpriced == total.interactions:
        return "not known: no prices were recorded"
    known = f"{total.cost_usd:,.4f} US dollars"
    return known if not total.unpriced else f"{known}; {total.unpriced:,} interactions have no recorded price"


def _largest(counts: Mapping[str, int], most: int = 10) -> list[tuple[str, int]]:
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ordered[:most] + (
        [(f"{len(ordered) - most:,} more", sum(n for _, n in ordered[most:]))] if ordered[most:] else []
    )


def _instant(text: str) -> str:
    return text[:16].replace("T", " ")


def _cell(text: str) -> str:
    return safe(" ".join(text.split()))
