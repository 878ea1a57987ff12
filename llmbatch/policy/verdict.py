"""The value every rule gives, and which URLs the rules about bodies apply to."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from llmbatch.call.failure import FailureKind

MODEL_PATHS = ("/chat/completions", "/completions", "/responses", "/embeddings")


class Verdict(NamedTuple):
    """What one attempt was, and what follows.

    `kind` is None for a good reply. `final` says it is stored as an answer, for ever. `retry` "global" means
    that every call to the service should wait, not this one alone. `max_retries` None is the run's default.
    `stop` ends the whole run: no further call can help. `rule` names the row of the tables that decided; it tells
    causes apart that have the same consequence.
    """

    kind: FailureKind | None = None
    final: bool = False
    retry: Literal["no", "backoff", "global"] = "no"
    max_retries: int | None = None
    stop: bool = False
    message: str = ""
    rule: str = ""


def is_model_api(url: str) -> bool:
    """Whether the URL is one of the OpenAI-compatible routes whose replies have a known shape."""
    return path_of(url).endswith(MODEL_PATHS)


@lru_cache(maxsize=256)
def path_of(url: str) -> str:
    """Return a URL's path without slashes at its end; nothing for a text that is no URL, as a file may hold one."""
    try:
        return urlsplit(url).path.rstrip("/")
    except ValueError:  # brackets around what is no address
        return ""
