"""A folder of recorded HTTP interactions: look up, append, check. Knows no task, no sample and no model.

For people without experiments `Cassette`, and what iterating one gives; loaded when first used (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmbatch.call.values import Call, Interaction, Reply, Request
    from llmbatch.cassette.public import Cassette

__all__ = ["Call", "Cassette", "Interaction", "Reply", "Request"]

if not TYPE_CHECKING:  # a checker that saw this would believe in every name

    def __getattr__(name: str) -> object:
        if name not in __all__:
            msg = f"module 'llmbatch.cassette' has no attribute {name!r}"
            raise AttributeError(msg)
        home = "llmbatch.cassette.public" if name == "Cassette" else "llmbatch.call.values"
        return getattr(importlib.import_module(home), name)
