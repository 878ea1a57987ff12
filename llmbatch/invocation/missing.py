"""What to say when recorded answers were wanted and are not there: how many, why, and what to do. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from llmbatch.config import ResolvedModel
from llmbatch.errors import NoAnswerRecorded
from llmbatch.invocation.mode import ChosenMode


def missing_answers(
    counts: Mapping[str, tuple[int, int]], models: Mapping[str, ResolvedModel], mode: ChosenMode, target: str
) -> str:
    """Return the report.

    `counts` has, for each variant's title in plan order, its cases without a recorded answer and all its cases.
    """
    missing = {title: pair for title, pair in counts.items() if pair[0]}
    recorded = [f"{title}: {of - without} of {of}" for title, (without, of) in counts.items() if of > without]
    listed = "\n".join(f"{without} of {of} cases of {title}" for title, (without, of) in missing.items())
    keyless = [model for model in models.values() if not model.can_call]
    why = f"{mode.mode} ({mode.origin})"
    details = {"missing": listed, "mode": why}
    if keyless:
        details["keys"] = "\n".join(dict.fromkeys(_key_line(model) for model in keyless))
    if recorded:
        details["recorded"] = "\n".join(recorded)
    total = sum(without for without, _ in missing.values())
    setting = next((f"set {model.endpoint.key_env} and " for model in keyless if model.endpoint.key_env), "")
    may_call = mode.mode not in {"none", "once"}
    flag = "" if may_call else " --record-mode new_episodes"
    fix = f"{setting}run `llmbatch exp {target}{flag}` to make about {total} calls"
    details["why"] = f"`llmbatch cassette why {target}` says what differs from what is recorded"
    return NoAnswerRecorded(f"{total} cases have no recorded answer", **details, fix=fix).report()


def _key_line(model: ResolvedModel) -> str:
    if not model.configured:
        return f"endpoint {model.endpoint.name} is not configured; its base URL comes from the cassette"
    return f"{model.endpoint.key_env} is not set (endpoint {model.endpoint.name})"
