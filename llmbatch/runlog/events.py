"""The vocabulary of the run log: every event by its name, with the fields that it may have.

A test reads every `write` of the package and holds it to this table, and the table to docs/run-log.md. A field that an
event leaves out is not known; `at` and `event` are in all of them.
"""

from __future__ import annotations

from collections.abc import Mapping

EVENTS: Mapping[str, tuple[str, ...]] = {
    # the run
    "start": (
        *(
            "experiment",
            "file",
            "variants",
            "cases",
            "mode",
            "mode_origin",
            "cassette",
            "options",
            "concurrency",
            "window",
        ),
        *("llmbatch", "pid", "host", "boot_id"),
    ),
    "end": (
        *("exit_code", "message", "duration_seconds", "cases", "done", "failed", "paid", "cached"),
        *("tokens_in", "tokens_out", "cost_usd"),
    ),
    "note": ("text",),
    "stopped": ("error", "traceback"),
    "table_error": ("message", "error", "traceback"),
    # cases
    "sample_error": ("case", "message"),
    "task_error": ("case", "error", "traceback"),
    "tool_error": ("case", "tool", "error", "traceback"),
    "warning": ("case", "kind", "message"),
    "unstable": ("case", "part", "recorded", "asked"),
    # calls
    "attempt": (
        *("endpoint", "model", "case", "key", "number", "kind", "status", "message", "taken_us", "cost_usd"),
        "hedge",
    ),
    "wait": ("endpoint", "model", "case", "kind", "seconds"),
    "hedge": ("endpoint", "model", "case", "key", "after_seconds", "won"),
    "stall": ("cases", "since_seconds"),
    "calls": (
        *("endpoint", "model", "calls", "retried", "waited_seconds", "hedged", "tokens_in", "tokens_out"),
        "cost_usd",
    ),
    # services
    "capabilities": (
        *("endpoint", "model", "origin", "mode", "json_schema", "json_object", "tools", "logprobs", "top_logprobs"),
        *("alternatives", "seed", "n", "stream_usage", "left_out", "ignored", "limit_name"),
    ),
    "limit": ("endpoint", "model", "limit", "was", "why"),
    "learned": ("endpoint", "model", "rpm", "tpm"),
    "breaker": ("endpoint", "model", "state", "why"),
    "first_answer": ("endpoint", "model", "ok", "why"),
    "budget": ("limit_usd", "spent_usd", "reserved_usd", "why"),
}
