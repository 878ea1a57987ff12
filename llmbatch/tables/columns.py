"""llmbatch's own columns: names, dtypes and meanings, in the order of a row. Knows no row and no polars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llmbatch.errors import TaskError
from llmbatch.tables.cells import FLOAT, INT, STR, Kind

PREFIX = "llmbatch_"
TRUTH = "truth"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, its dtype (`str`, `int`, `float`; None: as the values are) and what it says.

    `volatile` marks what two recordings of one experiment cannot share: times and request ids.
    """

    name: str
    dtype: Kind | None
    meaning: str
    volatile: bool = False


_BEFORE_PARAMETERS = (
    Column("llmbatch_case", STR, "the case's id: task, variant, sample and repeat"),
    Column("llmbatch_task", STR, "the task's name"),
    Column("llmbatch_variant", STR, "the variant's id, as between the brackets on the command line"),
    Column("llmbatch_model", STR, "the model asked, as written: endpoint/model"),
)
_AFTER_PARAMETERS = (
    Column("llmbatch_sample", STR, "the sample's id"),
    Column("llmbatch_repeat", INT, "which repeat of the sample this is, from 0"),
    Column("llmbatch_status", STR, "`ok`, or the category of what is wrong"),
    Column("llmbatch_error_kind", STR, "a finer name of what is wrong: an exception, `http_503`"),
    Column("llmbatch_error", STR, "what is wrong, in words"),
    Column("llmbatch_text", STR, "what the model said, word for word"),
    Column("llmbatch_finish_reason", STR, "why the model stopped, as the service says"),
    Column("llmbatch_mode", STR, "how structure was asked for: json_schema, json_object or text"),
    Column("llmbatch_served_model", STR, "the model the service says it used"),
    Column("llmbatch_fingerprint", STR, "the service's system fingerprint"),
    Column("llmbatch_tokens_in", INT, "tokens of the questions, as the service counted them"),
    Column("llmbatch_tokens_out", INT, "tokens of the answers, as the service counted them"),
    Column("llmbatch_cost_usd", FLOAT, "cost of the case's answers in US dollars; null without prices"),
    Column("llmbatch_asks", INT, "how many HTTP calls the case's answers took"),
    Column("llmbatch_prompt_fingerprint", STR, "digest of the prompt files used"),
    Column("llmbatch_parameters", STR, "the request's parameters as used, as JSON"),
    Column("llmbatch_request_id", STR, "the service's id of the last request", volatile=True),
    Column("llmbatch_recorded_at", STR, "when the last answer was recorded, ISO 8601 in UTC", volatile=True),
    Column("llmbatch_taken_us", INT, "microseconds from send to last byte, summed", volatile=True),
)

OWN_COLUMNS: tuple[Column, ...] = _BEFORE_PARAMETERS + _AFTER_PARAMETERS
"""Every column of llmbatch's own but those of parametrised names."""

OWN_DTYPES: dict[str, Kind] = {column.name: column.dtype for column in OWN_COLUMNS if column.dtype is not None}
VOLATILE_COLUMNS: tuple[str, ...] = tuple(column.name for column in OWN_COLUMNS if column.volatile)


def own_columns(parameters: Sequence[str] = ()) -> tuple[Column, ...]:
    """Return the columns of a row with one `llmbatch_<name>` after the model for each parametrised name.

    `model` has its column already. Raises TaskError for a name whose column llmbatch writes itself.
    """
    taken = {column.name for column in OWN_COLUMNS}
    middle = []
    for parameter in parameters:
        name = PREFIX + parameter
        if parameter == "model":
            continue
        if name in taken:
            raise TaskError(
                f"the parameter `{parameter}` would be the column {name}, which llmbatch writes itself",
                taken=", ".join(sorted(column.removeprefix(PREFIX) for column in taken)),
                fix="give the parameter another name",
            )
        middle.append(Column(name, None, f"the value of `{parameter}` in this variant"))
    return (*_BEFORE_PARAMETERS, *middle, *_AFTER_PARAMETERS)
