"""The built-in tables in forms of their own: what matters first, and no column that says nothing. Computes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from llmbatch.report.counting import counted
from llmbatch.report.grid import Grid, cell_text, grid
from llmbatch.report.safe import safe

if TYPE_CHECKING:
    import polars as pl

FAILURES_SHOWN = 10
VOTES_SHOWN = 10
LABELS_SHOWN = 20


def grids_of(name: str, frame: pl.DataFrame, *, rows_shown: int = 20) -> list[Grid]:
    """Return the grids in which a named table is shown; a built-in one in its form, if it has its columns."""
    form = _FORMS.get(name)
    if form is not None and set(form[0]) <= set(frame.columns):
        return list(form[1](frame))
    shown = FAILURES_SHOWN if name == "failures" else rows_shown
    notes = [f"and {frame.height - shown:,} more"] if frame.height > shown else []
    return [grid(name, frame.head(shown), notes=notes)]


def _title(task: object, variant: object) -> str:
    return f"{task}[{variant}]" if variant else f"{task}"


class _Columns:
    """Columns of text under their headers, in the order in which they are added."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._rows = frame.to_dicts()
        self._columns: dict[str, tuple[bool, list[str]]] = {}
        self._one_task = len({row["task"] for row in self._rows}) == 1
        if not self._one_task:
            self.text("task", "task")
        if any(row["variant"] for row in self._rows):
            self.text("variant", "variant")

    def text(self, header: str, column: str, show: Callable[[Any], str] | None = None) -> None:
        """Add a column of text."""
        self._columns[header] = (False, [(show or cell_text)(row[column]) for row in self._rows])

    def number(self, header: str, column: str, show: Callable[[Any], str] | None = None) -> None:
        """Add a column that is aligned to the right."""
        shown = show or (lambda value: cell_text(value, column))
        self._columns[header] = (True, [shown(row[column]) for row in self._rows])

    def rate(self, header: str, column: str) -> None:
        """Add a proportion with its interval; none where no row has it."""
        rates = [(row[column], row[f"{column}_low"], row[f"{column}_high"]) for row in self._rows]
        if any(rate is not None for rate, _, _ in rates):
            self._columns[f"{header} [95 %]"] = (True, [accuracy_text(*rate) for rate in rates])

    def grid(self, title: str, notes: Iterable[str] = (), *, ending: str = "") -> Grid:
        """Return them as a grid; the title names the task where it is one."""
        return Grid(
            title=(f"{title} of {safe(str(self._rows[0]['task']))}" if self._one_task else title) + ending,
            headers=tuple(self._columns),
            numeric=tuple(numeric for numeric, _ in self._columns.values()),
            rows=tuple(zip(*(cells for _, cells in self._columns.values()), strict=True)),
            notes=tuple(notes),
        )


def _summary(frame: pl.DataFrame) -> Iterator[Grid]:
    columns = _Columns(frame)
    columns.number("n", "n")
    columns.number("ok", "ok")
    notes = []
    if frame["n_scored"].sum():
        if (frame["n_scored"] != frame["ok"]).any():
            columns.number("scored", "n_scored")
        columns.rate("accuracy", "accuracy")
        if (frame["samples"] != frame["n"]).any():
            notes.append("n counts the repeats of a sample; the interval takes them as one cluster")
    if frame["failed"].sum():
        columns.text("failed", "failures", lambda failures: failures or "-")
    for header, column in (("cost $", "cost_usd"), ("tokens in", "tokens_in"), ("out", "tokens_out")):
        columns.number(header, column)
    yield columns.grid("summary", notes)


def _agreement(frame: pl.DataFrame) -> Iterator[Grid]:
    for k, part in _by_k(frame):
        columns = _Columns(part)
        columns.number("n", "samples")
        columns.rate(f"TARr@{k}", "tar_raw")
        columns.rate(f"TARa@{k}", "tar_answer")
        columns.number("flips", "flip_rate", _two_digits)
        yield columns.grid(f"agreement over {k} repeats", _agreement_notes(part))


def _agreement_notes(frame: pl.DataFrame) -> Iterator[str]:
    compared = ", ".join(sorted({safe(name) for name in frame["compared"] if name}))
    if frame["tar_raw"].count():
        answers = f"; TARa: all k answers ({compared}) are" if compared else ""
        yield f"TARr: samples whose k texts are the same{answers}"
    elif compared:
        yield f"TARa: samples whose k answers ({compared}) are the same"
    if compared:
        yield "flips: samples whose answer changes at least once"
    for row, where in _rows_and_places(frame):
        if row["failed"]:
            yield f"{where}{counted(row['failed'], 'sample')} with failed repeats: {safe(row['failures'])}"
        if row["partial"]:
            yield f"{where}{counted(row['partial'], 'sample')} left out: not all of their repeats were asked"


def _majority(frame: pl.DataFrame) -> Iterator[Grid]:
    for k, part in _by_k(frame):
        columns = _Columns(part)
        columns.number("n", "samples")
        columns.rate("majority", "accuracy")
        columns.rate("single", "single_accuracy")
        columns.number("share", "vote_share", _two_digits)
        columns.number("tied", "tied")
        yield columns.grid(f"majority of {k} repeats", _majority_notes(part))


def _majority_notes(frame: pl.DataFrame) -> Iterator[str]:
    if frame["n_scored"].sum():
        yield "accuracy of the most frequent answer of each sample, and of single answers"
    yield "share: of the k repeats that gave the majority answer"
    for row, where in _rows_and_places(frame):
        if row["no_majority"]:
            yield f"{where}{counted(row['no_majority'], 'sample')} without any answer"


def _votes(frame: pl.DataFrame) -> Iterator[Grid]:
    """Show the samples whose repeats did not all give the same answer."""
    import polars as pl  # noqa: PLC0415 - a frame is there, so polars is

    differing = frame.filter(pl.col("votes") < pl.col("k"))
    if not differing.height:
        return
    shown = differing.head(VOTES_SHOWN)
    columns = _Columns(shown)
    columns.text("sample", "sample")
    columns.text("majority", "majority")
    columns.number("votes", "votes")
    columns.number("of", "k")
    columns.number("different", "different")
    if shown["truth"].null_count() < shown.height:
        columns.text("truth", "truth")
    more = differing.height - shown.height
    notes = [
        f"and {more:,} more of {frame.height:,} samples"
        if more
        else f"{differing.height:,} of {frame.height:,} samples"
    ]
    yield columns.grid("votes", notes, ending=", where repeats differ")


def _per_class(frame: pl.DataFrame) -> Iterator[Grid]:
    """Show the first labels and, last, the two averages."""
    import polars as pl  # noqa: PLC0415 - a frame is there, so polars is

    for (task, variant), part in frame.group_by("task", "variant", maintain_order=True):
        columns = ["label", "precision", "recall", "f1", "support"]
        if part["not_scored"].sum():
            columns.append("not_scored")
        more = part.height - 2 - LABELS_SHOWN
        shown = pl.concat([part.head(LABELS_SHOWN), part.tail(2)]) if more > 0 else part
        notes = [f"and {counted(more, 'more label', 'more labels')}"] if more > 0 else []
        yield grid(f"classes of {_title(task, variant)}", shown.select(columns), notes=notes)


def _confusion(frame: pl.DataFrame) -> Iterator[Grid]:
    for (task, variant), part in frame.group_by("task", "variant", maintain_order=True):
        title = f"confusion {_title(task, variant)}: truth down, prediction across"
        yield grid(title, part.drop("task", "variant"))


def _nothing(frame: pl.DataFrame) -> Iterator[Grid]:
    """Show none of a table that is for the files: it has a row for each label of each sample."""
    return iter(())


def _rows_and_places(frame: pl.DataFrame) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each row with what a note about it begins with: which variant, of which task if there are several."""
    one_task = frame["task"].n_unique() == 1
    for row in frame.to_dicts():
        place = row["variant"] if one_task else _title(row["task"], row["variant"])
        yield row, f"{safe(place)}: " if place else ""


def _by_k(frame: pl.DataFrame) -> Iterator[tuple[int, pl.DataFrame]]:
    for (k,), part in frame.group_by("k", maintain_order=True):
        yield int(str(k)), part


def _two_digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def accuracy_text(accuracy: float | None, low: float | None, high: float | None) -> str:
    """Return an accuracy with its interval: `0.86 [0.79, 0.91]`."""
    if accuracy is None or low is None or high is None:
        return "-"
    return f"{accuracy:.2f} [{low:.2f}, {high:.2f}]"


_FORMS: dict[str, tuple[Sequence[str], Callable[[pl.DataFrame], Iterator[Grid]]]] = {
    "summary": (("samples", "accuracy_low", "failures"), _summary),
    "agreement": (("tar_raw_low", "tar_answer_low", "flip_rate"), _agreement),
    "majority": (("accuracy_low", "single_accuracy_low", "vote_share"), _majority),
    "votes": (("sample", "majority", "different"), _votes),
    "label_frequencies": (("sample", "label", "prob_low"), _nothing),
    "per_class": (("label", "precision", "support"), _per_class),
    "confusion": (("task", "variant", "truth"), _confusion),
}
"""Of a built-in table: columns by which it is known from an author's table of the same name, and how it is shown."""
