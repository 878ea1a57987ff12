"""Tables printed at the end of a run: by rich on a terminal, as aligned plain text into a file or a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TextIO

from llmbatch.report.built_in import grids_of
from llmbatch.report.grid import ID_COLUMNS, Grid

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

_GAP = 2
_TEXT_AT_LEAST = 16
_RICH_GAP = 3  # a space, the divider of box.SIMPLE, a space
_RICH_EDGE = 2


def print_tables(
    console: Console | None, tables: Mapping[str, pl.DataFrame], *, rows_shown: int = 20, stream: TextIO | None = None
) -> None:
    """Print each table under its name, in the order given, to standard output; empty ones are left out.

    Without a console a terminal gets one, and whatever else `stream` is gets plain text of whatever width it
    takes. `failures` shows 10 rows, other tables `rows_shown`, and how many more there are. Columns that do
    not fit a terminal are named below the table.
    """
    stream = stream if stream is not None else sys.stdout
    print_grids(
        [
            each
            for name, frame in tables.items()
            if frame.height
            for each in grids_of(name, frame, rows_shown=rows_shown)
        ],
        console,
        stream=stream,
    )


def print_grids(grids: Iterable[Grid], console: Console | None = None, *, stream: TextIO | None = None) -> None:
    """Print grids one below the other: as rich draws them on a terminal, else as aligned text."""
    stream = stream if stream is not None else sys.stdout
    if console is None and stream.isatty():
        from rich.console import Console  # noqa: PLC0415 - only a terminal needs rich

        console = Console(file=stream)
    for each in grids:
        if console is not None and console.is_terminal:
            _print_rich(console, each)
        else:
            print(plain_text(each), file=stream if console is None else console.file)


def plain_text(grid: Grid) -> str:
    """Return the grid as aligned text that ends in an empty line."""
    widths = [max(map(len, column)) for column in zip(grid.headers, *grid.rows, strict=True)]
    lines = [grid.title]
    for row in (grid.headers, tuple("-" * width for width in widths), *grid.rows):
        cells = [
            cell.rjust(width) if numeric else cell.ljust(width)
            for cell, width, numeric in zip(row, widths, grid.numeric, strict=True)
        ]
        lines.append((" " * _GAP).join(cells).rstrip())
    return "\n".join([*lines, *grid.notes, ""])


def fitted(grid: Grid, width: int) -> Grid:
    """Return the grid cut to a terminal's width: text first shrinks, then last columns go and a note names them.

    Text shrinks to 16 characters, evenly; numbers do not shrink; the first column always stays.
    """
    from rich.cells import cell_len  # noqa: PLC0415 - knows how wide a character is drawn

    columns = list(zip(grid.headers, *grid.rows, strict=True))
    natural = [max(map(cell_len, column)) for column in columns]
    least = [n if right else min(n, _TEXT_AT_LEAST) for n, right in zip(natural, grid.numeric, strict=True)]
    room = width - _RICH_EDGE
    kept = 1
    while kept < len(columns) and sum(least[: kept + 1]) + _RICH_GAP * kept <= room:
        kept += 1
    widths = _grown(least[:kept], natural[:kept], room - _RICH_GAP * (kept - 1))
    cut = [
        [_shortened(text, size, middle=column[0] in ID_COLUMNS) for text in column]
        for column, size in zip(columns[:kept], widths, strict=True)
    ]
    rows = list(zip(*cut, strict=True))
    left_out = grid.headers[kept:]
    notes = (f"not shown for want of width: {', '.join(left_out)}",) if left_out else ()
    return Grid(grid.title, rows[0], grid.numeric[:kept], tuple(rows[1:]), (*grid.notes, *notes))


def _shortened(text: str, size: int, *, middle: bool) -> str:
    from rich.cells import cell_len, set_cell_size  # noqa: PLC0415 - as above

    if cell_len(text) <= size:
        return text
    tail = text[-(size // 2) :] if middle and text.isascii() else ""
    return set_cell_size(text, size - 1 - len(tail)).rstrip() + "…" + tail


def _grown(least: list[int], natural: list[int], room: int) -> list[int]:
    """Return the widths with what room is left given to the narrowest columns that could use it."""
    widths = list(least)
    for _ in range(room - sum(least)):
        wanting = [at for at, size in enumerate(widths) if size < natural[at]]
        if not wanting:
            break
        widths[min(wanting, key=lambda at: (widths[at], at))] += 1
    return widths


def _print_rich(console: Console, grid: Grid) -> None:
    from rich import box  # noqa: PLC0415 - as above
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    shown = fitted(grid, console.width)
    table = Table(box=box.SIMPLE, padding=(0, 1), pad_edge=False)
    for header, numeric in zip(shown.headers, shown.numeric, strict=True):
        table.add_column(Text(header), justify="right" if numeric else "left", no_wrap=True)
    for row in shown.rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(Text(shown.title, style="bold"))
    console.print(table)
    if shown.notes:
        console.print(Text("\n".join(f" {note}" for note in shown.notes) + "\n", style="dim"))
