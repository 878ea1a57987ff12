"""llmbatch's own columns: names, dtypes and meanings, in the order of a row. Knows no row and no polars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PREFIX = "llmbatch_"
"""What the names of all own columns begin with, those of parametrised names included."""

TRUTH = "truth"
"""The column of the truth, whatever the samples call it."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, its dtype and what it says.

    `volatile` marks what two recordings of one experiment cannot share: times and request ids.
    """

    name: str
    dtype: Literal["str", "int", "float", "bool", "json"]
    meaning: str
    volatile: bool = False


OWN_COLUMNS: tuple[Column, ...] = (
    Column("llmbatch_case", "str", "the case's id: task, variant, sample and repeat"),
    Column("llmbatch_task", "str", "the task's name"),
    Column("llmbatch_variant", "str", "the variant's id, as between the brackets on the command line"),
    Column("llmbatch_model", "str", "the model asked, as written: endpoint/model"),
    Column("llmbatch_sample", "str", "the sample's id"),
    Column("llmbatch_repeat", "int", "which repeat of the sample this is, from 0"),
    Column("llmbatch_status", "str", "`ok`, or the category of what is wrong"),
    Column("llmbatch_error_kind", "str", "a finer name of it: an exception, `http_503`, the word that is no label"),
    Column("llmbatch_error", "str", "what is wrong, in words"),
    Column("llmbatch_text", "str", "what the model said, word for word"),
    Column("llmbatch_finish_reason", "str", "why the model stopped, as the service says"),
    Column("llmbatch_mode", "str", "how structure was asked for: json_schema, json_object, tool or text"),
    Column("llmbatch_reading", "str", "how the answer was found: exact, fenced, embedded, repaired, word or text"),
    Column("llmbatch_normalised", "str", "what was read as a label that it is not, by the declared rules"),
    Column("llmbatch_served_model", "str", "the model the service says it used"),
    Column("llmbatch_fingerprint", "str", "the service's system fingerprint"),
    Column("llmbatch_tokens_in", "int", "tokens of the questions, as the service counted them"),
    Column("llmbatch_tokens_out", "int", "tokens of the answers, as the service counted them"),
    Column("llmbatch_tokens_cached", "int", "of the tokens of the questions, those that the service had cached"),
    Column("llmbatch_tokens_reasoning", "int", "of the tokens of the answers, those of reasoning"),
    Column("llmbatch_cost_usd", "float", "cost of the case's answers in US dollars; null without prices"),
    Column("llmbatch_asks", "int", "how many HTTP calls the case's answers took"),
    Column("llmbatch_reasks", "int", "how often an answer that did not fit was asked for again"),
    Column("llmbatch_prompt_fingerprint", "str", "digest of the prompt files used"),
    Column("llmbatch_parameters", "str", "the request's parameters as used, as JSON"),
    Column("llmbatch_request_id", "str", "the service's id of the last request", volatile=True),
    Column("llmbatch_recorded_at", "str", "when the last answer was recorded, ISO 8601 in UTC", volatile=True),
    Column("llmbatch_taken_us", "int", "microseconds from send to last byte, summed", volatile=True),
)
"""Every column of llmbatch's own. One `llmbatch_<name>` for each parametrised name follows the model."""

PROBABILITY_COLUMNS: tuple[Column, ...] = (
    Column("prob", "float", "the probability of the label that was answered; null unless the source is `logprobs`"),
    Column("prob_labels", "json", "the probability of each label; they need not sum up to 1"),
    Column("prob_ranges", "json", "between what and what each of these lies if nothing is assumed"),
    Column("prob_missing", "float", "the probability that could be attributed to no label"),
    Column("prob_first_token", "float", "the plain probability of the token in which the label begins"),
    Column("prob_source", "str", "where the numbers come from: `logprobs`, `masked`, `rescaled`, `none`"),
    Column("prob_comparable", "bool", "whether repeats would answer the labels as often as these probabilities say"),
    Column("prob_note", "str", "why there are none, what is wrong with them, or why they are not comparable"),
)
"""The further columns of an answer that was asked with `probability_of`."""

OWN_DTYPES: dict[str, str] = {column.name: column.dtype for column in OWN_COLUMNS}
PROBABILITY_DTYPES: dict[str, str] = {column.name: column.dtype for column in PROBABILITY_COLUMNS}
VOLATILE_COLUMNS: tuple[str, ...] = tuple(column.name for column in OWN_COLUMNS if column.volatile)
