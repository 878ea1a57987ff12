"""The closed set of what can be wrong with a case, one word each. Becomes the column `llmbatch_status`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FailureKind(StrEnum):
    """Why a case has no good answer. `is_result` tells an answer that failed from an answer that is missing."""

    # the model answered, and the answer is what it is: a result, paid for, never asked again on its own
    PARSE_ERROR = "parse_error"  # no JSON, or not the shape, could be read from the text
    INVALID_ANSWER = "invalid_answer"  # JSON of the right shape whose values the model class refuses
    OUT_OF_LABEL = "out_of_label"  # the right shape, and a word outside its closed labels; detail: the word
    TRUNCATED = "truncated"  # finish_reason "length"
    REFUSAL = "refusal"
    CONTENT_FILTER = "content_filter"
    EMPTY_CONTENT = "empty_content"
    TOOL_CALLS = "tool_calls"  # tool calls in place of content

    # the service refused for good: recorded as an answer
    CONTEXT_LENGTH = "context_length"
    BAD_REQUEST = "bad_request"

    # the service could not answer this time: recorded in the failures file only
    RATE_LIMITED = "rate_limited"
    QUOTA = "quota"
    AUTH = "auth"
    MODEL_NOT_FOUND = "model_not_found"
    SERVER_ERROR = "server_error"
    CONNECT_ERROR = "connect_error"
    CONFIG_ERROR = "config_error"
    TIMEOUT = "timeout"
    TRUNCATED_BODY = "truncated_body"
    INVALID_JSON = "invalid_json"
    NOT_API = "not_api"
    EMPTY_CHOICES = "empty_choices"
    TOO_LARGE = "too_large"
    DUPLICATE = "duplicate"  # a second answer to a key that has one: kept for the cost, served never

    # nothing was asked, or the author's code failed
    SAMPLE_ERROR = "sample_error"
    TASK_ERROR = "task_error"
    NOT_RECORDED = "not_recorded"
    NOT_RUN = "not_run"

    @property
    def is_result(self) -> bool:
        """Whether the model did answer, so that the case counts as answered (exit code 0)."""
        return self in _RESULTS


_RESULTS = frozenset(
    {
        FailureKind.PARSE_ERROR,
        FailureKind.INVALID_ANSWER,
        FailureKind.OUT_OF_LABEL,
        FailureKind.TRUNCATED,
        FailureKind.REFUSAL,
        FailureKind.CONTENT_FILTER,
        FailureKind.EMPTY_CONTENT,
        FailureKind.TOOL_CALLS,
    }
)


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure: its category, what happened in words, and a finer name (an exception, `http_503`)."""

    kind: FailureKind
    message: str
    detail: str = ""
