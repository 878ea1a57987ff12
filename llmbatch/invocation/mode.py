"""Whether a run may call: the record mode, and which setting said so. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from llmbatch.errors import UsageError
from llmbatch.invocation.options import RecordMode, Settings


class ChosenMode(NamedTuple):
    """The record mode of a run and where it comes from, in words for messages."""

    mode: RecordMode
    origin: str


def choose_mode(settings: Settings, environ: Mapping[str, str]) -> ChosenMode:
    """Return the mode asked for; else `none` where CI is set, so that a build never pays; else new_episodes.

    Raises UsageError where it contradicts --retry-errors.
    """
    chosen = _chosen(settings, environ)
    if settings.retry_errors and chosen.mode != "new_episodes":
        raise UsageError(
            f"--retry-errors asks again what is recorded, and the record mode is {chosen.mode} ({chosen.origin})",
            fix="leave --retry-errors out, or give --record-mode new_episodes",
        )
    return chosen


def _chosen(settings: Settings, environ: Mapping[str, str]) -> ChosenMode:
    if settings.record_mode is not None:
        return ChosenMode(settings.record_mode, settings.origins.get("record_mode", "asked for"))
    if environ.get("CI", "").lower() not in {"", "0", "false"}:
        return ChosenMode("none", "CI is set")
    return ChosenMode("new_episodes", "the default")
