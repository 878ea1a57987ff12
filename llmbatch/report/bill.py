"""What a run paid, and what the answers of its rows cost in all, in a line. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from llmbatch.money.bill import Bill
from llmbatch.money.words import dollars
from llmbatch.report.counting import counted

if TYPE_CHECKING:
    import polars as pl


def bill_line(bill: Bill, tables: Mapping[str, pl.DataFrame]) -> str:
    """Return the line; nothing where no price is known of anything."""
    parts = []
    if bill.usd:
        paid = f"this run paid {dollars(bill.usd)} for {counted(bill.attempts, 'attempt')}"
        if bill.unanswered_usd:
            paid += f", {dollars(bill.unanswered_usd)} of it for {bill.unanswered:,} without an answer"
        if bill.estimated:
            paid += f" ({dollars(bill.estimated_usd)} an estimate: they may have been billed)"
        parts.append(paid)
    if bill.unpriced:
        parts.append(f"no price is known of {counted(bill.unpriced, 'attempt')}")
    costs = tables["calls_and_cost"]["cost_usd"].drop_nulls() if "calls_and_cost" in tables else None
    if costs is not None and len(costs):
        parts.append(f"the answers of all rows cost {dollars(float(costs.sum()))}, whenever they were recorded")
    return "; ".join(parts)
