"""Whether a run may call: the record mode, and which setting said so. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from llmbatch.invocation.options import RecordMode, Settings


class ChosenMode(NamedTuple):
    """The record mode of a run and where it comes from, in words for messages."""

    mode: RecordMode
    origin: str


def choose_mode(settings: Settings, environ: Mapping[str, str]) -> ChosenMode:
    """Return the mode asked for; else `none` where CI is set, so that a build never pays; else new_episodes."""
    if settings.record_mode is not None:
        return ChosenMode(settings.record_mode, "asked for")
    if environ.get("CI", "").lower() not in {"", "0", "false"}:
        return ChosenMode("none", "CI is set")
    return ChosenMode("new_episodes", "the default")
