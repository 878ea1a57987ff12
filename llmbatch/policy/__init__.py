"""What each reply and each network error means: is it an answer, is it tried again, does the run stop.

Pure rules over values; knows no cassette, no clock of its own and no network library. The rules that need
more than one reply (circuit breakers, "the first answers all fail") belong to the engine.
Source of the rules: the documentation of the services named beside them.
"""

from __future__ import annotations

from llmbatch.policy.exceptions import verdict_of_exception
from llmbatch.policy.replies import verdict_of_reply
from llmbatch.policy.verdict import Verdict, is_model_api
from llmbatch.policy.waits import retry_after_seconds

__all__ = ["Verdict", "is_model_api", "retry_after_seconds", "verdict_of_exception", "verdict_of_reply"]
