"""Amounts of money as a person writes and reads them. Pure."""

from __future__ import annotations

import math
import re

from llmbatch.errors import UsageError

_BUDGET = re.compile(r"\s*\$?\s*(\d+(?:_\d+)*(?:\.\d+)?|\.\d+)\s*(?:usd|\$)?\s*", re.IGNORECASE)


def dollars(usd: float) -> str:
    """Return an amount with as many digits as say something: $0.00021, $0.0123, $4.98, $1,234.50."""
    if usd == 0:
        return "$0"
    digits = 2 if abs(usd) >= 1 else min(9, 2 - math.floor(math.log10(abs(usd))))
    text = f"{usd:,.{digits}f}"
    return f"${text}"


def usd_of(text: str | float) -> float:
    """Read an amount of US dollars: `5`, `5usd`, `$5`, `0.50 USD`. Raises UsageError."""
    if isinstance(text, str):
        match = _BUDGET.fullmatch(text)
        usd = float(match[1].replace("_", "")) if match else math.nan
    else:
        usd = math.nan if isinstance(text, bool) else float(text)
    if not math.isfinite(usd) or usd <= 0:
        raise UsageError(f"the budget is {text!r}", fix="give US dollars above 0: --budget 5usd, --budget 0.50")
    return usd
