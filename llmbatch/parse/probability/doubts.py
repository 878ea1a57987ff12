"""What a service's numbers are not, and when they cannot be compared with how often a label is answered. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

from llmbatch.parse.probability.tokens import Token

Source = Literal["logprobs", "masked", "rescaled", "none"]

_SURE = 1e-9
_FAR = 1e-26
"""A token less probable than this beside a sure one, all along an answer, was made so by a temperature near 0."""
_FEW = 3
_TOO_MUCH = 1.001
_HOSTS_WITHOUT_CUTS = ("api.openai.com", ".openai.azure.com", "api.deepseek.com")
"""Services of which it is known that nothing is cut away where none of these is sent."""
_GRAMMARS = (
    "grammar", "json_schema", "guided_json", "guided_choice", "guided_regex", "guided_grammar", "structured_outputs",
    "format", "regex", "ebnf",
)  # fmt: skip
_NEUTRAL = {
    "frequency_penalty": 0, "presence_penalty": 0, "repeat_penalty": 1, "repetition_penalty": 1, "typical_p": 1,
    "top_a": 0, "top_n_sigma": -1, "xtc_probability": 0, "dry_multiplier": 0, "mirostat": 0,
}  # fmt: skip
"""Parameters that change what is drawn, and the value at which they do not."""


def source_of(tokens: Sequence[Token], value: Sequence[Token], asked: int) -> tuple[Source, str]:
    """Return whether these are a model's own probabilities, and what is wrong if they are not.

    `value` are the tokens of the label, `tokens` all of the answer, and `asked` is how many were to be listed.
    """
    if any(token.said.probability + sum(other.probability for other in token.others) > _TOO_MUCH for token in value):
        return "rescaled", "the probabilities at one place sum up to more than 1"
    if value[0].said.probability == 0.0:
        return "masked", "the token that was written is listed as impossible"
    full = [token for token in value if token.unlisted <= _SURE]
    usual = max(token.listed for token in tokens) if full else asked
    if any(token.ruled_out > 0 or token.listed < (min(asked, usual) if usual > 1 else asked) for token in full):
        return "masked", "the tokens that a grammar or a sampler ruled out have no probability"
    if len(tokens) >= _FEW and all(_is_frozen(token) for token in tokens):
        return "rescaled", "the temperature is in the probabilities, and is near 0"
    return "logprobs", ""


def _is_frozen(token: Token) -> bool:
    others = [other.probability for other in token.others]
    return token.said.probability >= 1 - _SURE and bool(others) and max(others) < _FAR


def why_not_comparable(parameters: Mapping[str, Any], mode: str, url: str) -> str:
    """Return why the probabilities are not those with which labels are answered; empty where they are.

    They are where each token is drawn as the model gives it: temperature 1, nothing cut away, no grammar, and each
    repeat a draw of its own.
    """
    reasons = []
    temperature = parameters.get("temperature")
    if temperature != 1:
        reasons.append("no temperature is sent" if temperature is None else f"temperature {temperature:g}")
    reasons += _cuts(parameters, url)
    reasons += [f"{name} {parameters[name]}" for name, none in _NEUTRAL.items() if parameters.get(name, none) != none]
    if parameters.get("logit_bias"):
        reasons.append("logit_bias")
    form = parameters.get("response_format")  # the author's own, sent in place of the mode's
    if form is None and mode != "text":
        reasons.append(f"the answer may be held to a grammar (mode {mode})")
    elif form is not None and not (isinstance(form, Mapping) and form.get("type") == "text"):
        reasons.append("the answer is held to a grammar (response_format)")
    reasons += [f"the answer is held to a grammar ({name})" for name in _GRAMMARS if parameters.get(name)]
    if parameters.get("seed") is not None:
        reasons.append("one seed for all repeats")
    return ", ".join(reasons)


def _cuts(parameters: Mapping[str, Any], url: str) -> list[str]:
    host = urlsplit(url).hostname or ""
    has_none = any(host == known or (known[0] == "." and host.endswith(known)) for known in _HOSTS_WITHOUT_CUTS)
    reasons = []
    for name, offs in (("top_p", (1,)), ("top_k", (0, -1)), ("min_p", (0,))):
        if name in parameters and parameters[name] not in offs:
            reasons.append(f"{name} {parameters[name]}")
        elif name not in parameters and not has_none:
            reasons.append(f"{name} is the service's own (send extra_body {{{name!r}: {offs[0]}}})")
    return reasons
