"""Every class of failure: what is served, and what must come of it. The page docs/failures.md is made from this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

How = Literal[
    "ask",
    "stream",  # by `client`, as server-sent events
    "raises",  # the task raises when it has its answer
    "alone",  # a run of its own, in which it is the first answer
    "closed",  # nobody listens at the base URL
    "tls",  # the base URL says https, the server does not
    "untrusted",  # a server with a certificate that nobody signed
    "proxy",  # the server is the proxy of the environment
    "many",  # three hundred samples of it, 64 at once
    "disk",  # the files of the run may not grow
    "interrupt",  # Ctrl-C while eight calls are on their way
]
MAX_RETRIES = 2
"""What the runs behind the table are set to; the default is 5."""


@dataclass(frozen=True)
class Served:
    """One fault and its expected outcome. Counts that depend on the moment are a range (least, most)."""

    number: int
    fault: str
    calls: int | tuple[int, int]
    billed: int | tuple[int, int]
    row: str
    exit_code: int
    how: How = "ask"

    @property
    def alone(self) -> bool:
        """Whether the run is its own."""
        return self.how not in {"ask", "stream", "raises"}


FAILURES = {
    1: "429, rate limit",
    2: "429 or 402, quota or balance used up",
    3: "`Retry-After` in every form",
    4: "rate-limit headers on a good answer",
    5: "408, 409, 425",
    6: "500, 502, 503, 504, 520 to 524, 529",
    7: "`x-should-retry: false`",
    8: "connection refused",
    9: "TLS, a proxy that refuses",
    10: "silence after the request was sent",
    11: "a body that breaks off",
    12: "a body that is no JSON",
    13: "a web page or plain words",
    14: "a wrong content type over a good answer",
    15: "an error object inside a 200",
    16: "no choices",
    17: "empty content",
    18: "a refusal",
    19: "`finish_reason` length",
    20: "content filter, moderation",
    21: "tool calls in place of content",
    22: "reasoning without content",
    23: "400, context length",
    24: "400, a parameter",
    25: "401, 403",
    26: "404, 405, 410",
    27: "413, 422",
    28: "a stream that breaks off or ends in an error",
    29: "blank lines before the answer",
    30: "odd JSON",
    31: "no usage, another model",
    32: "redirects",
    33: "a proxy in the environment",
    34: "a body that unpacks without end",
    35: "ways of local servers",
    36: "the task raises",
    37: "a disk that is full",
    38: "Ctrl-C",
}

_RETRY_AFTER = ("0.2", "now+1", "now-5", "inf", "1e400", "-1", "soon")

SERVED: tuple[Served, ...] = (
    Served(1, "429 retry-after=0 x3", 4, 1, "ok", 0),
    Served(2, "quota", 1, 0, "quota", 6, "alone"),
    Served(2, "402", 1, 0, "quota", 6, "alone"),
    Served(2, "402 retry-after=0 x1", 2, 1, "ok", 0),
    *(Served(3, f"429 retry-after={value}", 2, 1, "ok", 0) for value in _RETRY_AFTER),
    Served(3, "429 retry-after-ms=50", 2, 1, "ok", 0),
    Served(3, "429 x-ratelimit-reset-requests=30ms", 2, 1, "ok", 0),
    Served(3, "429 retry-after=86400", 1, 0, "rate_limited", 6, "alone"),
    Served(4, "with x-ratelimit-remaining-requests=0 x-ratelimit-reset-requests=1s", 1, 1, "ok", 0),
    *(Served(5, f"{status} x1", 2, 1, "ok", 0) for status in (408, 409, 425)),
    Served(5, "409", 3, 0, "server_error", 1),
    *(Served(6, f"{status} x1", 2, 1, "ok", 0) for status in (500, 502, 503, 504, 520, 524, 529)),
    Served(6, "500", 3, 0, "server_error", 1),
    Served(7, "500 x-should-retry=false", 1, 0, "server_error", 1),
    Served(8, "nobody listens", 0, 0, "connect_error", 6, "closed"),
    Served(9, "https where http is spoken", 0, 0, "connect_error", 6, "tls"),
    Served(9, "a certificate that nobody signed", 0, 0, "config_error", 6, "untrusted"),
    Served(9, "407", 1, 0, "config_error", 6, "alone"),
    Served(10, "hang x1", 2, 1, "ok", 0),
    Served(10, "hang", 2, 0, "timeout", 1),
    Served(11, "cut x1", 2, 2, "ok", 0),
    Served(11, "rst x1", 2, 2, "ok", 0),
    Served(11, "cut", 3, 3, "truncated_body", 1),
    Served(11, "cut", 3, 3, "truncated_body", 6, "alone"),
    Served(12, "broken x1", 2, 2, "ok", 0),
    Served(12, "broken", 3, 3, "invalid_json", 1),
    Served(12, "excess x1", 2, 2, "ok", 0),
    Served(13, "html x1", 2, 1, "ok", 0),
    Served(13, "html", 3, 0, "not_api", 1),
    Served(13, "html", 3, 0, "not_api", 6, "alone"),
    Served(13, "plain", 3, 0, "not_api", 6, "alone"),
    Served(13, "nothttp", 3, 0, "not_api", 6, "alone"),
    Served(14, "with content-type=text/plain", 1, 1, "ok", 0),
    Served(15, "error x1", 2, 1, "ok", 0),
    Served(15, "error", 3, 0, "server_error", 1),
    Served(15, "error code=401", 1, 0, "auth", 6, "alone"),
    Served(16, "empty x1", 2, 2, "ok", 0),
    Served(16, "empty", 3, 3, "empty_choices", 1),
    Served(17, "null", 1, 1, "empty_content", 0),
    Served(18, "refusal", 1, 1, "refusal", 0),
    Served(19, "length", 1, 1, "truncated", 0),
    Served(20, "filter", 1, 1, "content_filter", 0),
    Served(20, "moderation", 1, 0, "content_filter", 0),
    Served(21, "tools", 1, 1, "tool_calls", 0),
    Served(22, "reasoning", 1, 1, "empty_content", 0),
    Served(23, "context", 1, 0, "context_length", 1),
    Served(24, "400", 1, 0, "bad_request", 1),
    Served(24, "400", (20, 64), 0, "bad_request", 6, "many"),
    Served(25, "401", 1, 0, "auth", 6, "alone"),
    Served(25, "403", 1, 0, "auth", 6, "alone"),
    Served(25, "401", (1, 5), 0, "auth", 6, "many"),
    Served(25, "401 x1", 2, 1, "ok", 0),
    *(Served(26, str(status), 1, 0, "model_not_found", 6, "alone") for status in (404, 405, 410)),
    Served(27, "413", 1, 0, "bad_request", 1),
    Served(27, "422", 1, 0, "bad_request", 1),
    Served(28, "cut x1", 2, 2, "ok", 0, "stream"),
    Served(28, "error x1", 2, 2, "ok", 0, "stream"),
    Served(29, "blanks", 1, 1, "ok", 0),
    Served(30, "nan", 1, 1, "invalid_json", 1),
    Served(30, "bom", 1, 1, "ok", 0),
    Served(30, "twice", 1, 1, "ok", 0),
    Served(31, "nousage", 1, 1, "ok", 0),
    Served(32, "302 location=http://127.0.0.1:9/v1", 1, 0, "config_error", 6, "alone"),
    Served(33, "drip", 1, 1, "ok", 0, "proxy"),
    Served(34, "bomb", 1, 0, "too_large", 1),
    Served(35, "404 code=not_found_error", 1, 0, "model_not_found", 6, "alone"),
    Served(35, "503 x1", 2, 1, "ok", 0),
    Served(35, "words", 1, 0, "bad_request", 1),
    Served(36, "drip", 1, 1, "task_error", 1, "raises"),
    Served(37, "drip", (1, 60), (1, 60), "not_run", 7, "disk"),
    Served(38, "delay=0.5", (8, 24), (8, 24), "not_run", 2, "interrupt"),
)
