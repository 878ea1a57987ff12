"""What is known of one endpoint and model, and what follows from it for how structure is asked for. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from llmbatch.config.values import StructuredMode

Support = Literal["yes", "ignored", "refused", "unknown"]
"""`ignored`: the service accepts the flag and answers as if it were not there. `unknown`: nothing was found out."""

LogprobSupport = Literal["yes", "ignored", "refused", "masked", "rescaled", "unknown"]
"""Beside the words of Support: `masked` are numbers that say nothing, since all but the chosen token are cut away;
`rescaled` are those that follow temperature or top_p, so that they are the model's own at temperature 1 alone."""

LimitName = Literal["max_tokens", "max_completion_tokens"]


@dataclass(frozen=True)
class Capabilities:
    """What a service does with a model when it is asked for something; all unknown where nobody has asked.

    `left_out` are the request parameters that it refuses, `ignored` those that it accepts and does not follow;
    `limit_name` is the name under which it takes the most tokens of an answer, `alternatives` how many tokens came with
    their probabilities where twenty were asked for, `most_alternatives` how many may be asked for.
    """

    json_schema: Support = "unknown"
    json_object: Support = "unknown"
    tools: Support = "unknown"
    logprobs: LogprobSupport = "unknown"
    top_logprobs: Support = "unknown"
    alternatives: int = 0
    most_alternatives: int = 20
    seed: Support = "unknown"
    n: Support = "unknown"
    stream_usage: Support = "unknown"
    left_out: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    limit_name: LimitName = "max_tokens"

    def fitted(self, parameters: Mapping[str, Any], as_they_are: Collection[str] = ()) -> Mapping[str, Any]:
        """Return request parameters without those that the model refuses, and the limit under the name that it takes.

        Names in `as_they_are` are left alone.
        """
        if not self.left_out and self.limit_name == "max_tokens":
            return parameters
        kept = {name: parameters[name] for name in parameters if name in as_they_are or name not in self.left_out}
        if "max_tokens" in kept and "max_tokens" not in as_they_are and self.limit_name not in kept:
            kept[self.limit_name] = kept.pop("max_tokens")
        return kept

    def mode(self, declared: StructuredMode | None = None) -> StructuredMode | None:
        """Return the best mode that is known to work; None where nothing is known that speaks against what is declared.

        A mode of which nothing was found out is taken where it is the declared one (without a declaration: the strict
        schema), so that a service that was down for a moment does not change how a study asks.
        """
        if self.json_schema == self.json_object == self.tools == "unknown":
            return None
        known: tuple[tuple[StructuredMode, Support], ...] = (
            ("json_schema", self.json_schema),
            ("json_object", self.json_object),
            ("tool", self.tools),
        )
        for mode, support in known:
            if support == "yes" or (support == "unknown" and mode == (declared or "json_schema")):
                return mode
        return "text"


UNKNOWN = Capabilities()
