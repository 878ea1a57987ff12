"""Sixteen digits that stand for a prompt version. Knows turns only as roles, texts and further members."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

from llmbatch.samples.values import canonical_json


def fingerprint_of(turns: Iterable[tuple[str, str | None, Mapping[str, Any]]]) -> str:
    """Return 16 hex digits (BLAKE2b) over role, template text and further members of each turn, in order."""
    listed = [[role, text, dict(extra)] for role, text, extra in turns]
    return blake2b(canonical_json(listed), digest_size=8).hexdigest()
