"""What one service is trusted with: few calls until one has succeeded, all from then on, none while most fail.

Pure: outcomes and the time go in, verdicts and room come out. Knows no endpoint, no event loop and no log.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum

from llmbatch.call.failure import FailureKind
from llmbatch.policy import Verdict

WIDEN_SECONDS = 0.25
"""How long the first calls may be silent before twice as many may go: a slow model must not hold up a run."""
UNREACHED_THAT_STOP = 3
"""How many calls to a service that was never reached: a wrong URL is no passing trouble."""
REFUSALS_THAT_STOP = 20
"""How many questions, refused from the first one on, say that it is not the questions."""
WINDOW_CALLS = 200
FEWEST_CALLS = 20
"""Fewer calls than this say nothing about a service."""
FAILING_SECONDS = 60.0
"""How long more than half of the window may fail before the service is left alone."""
PAUSES_SECONDS = (15.0, 60.0, 240.0)
"""How long it is left alone, each time that a call which tried it has failed; then the run stops."""
RECHECK_SECONDS = 1.0
"""A key that worked and is refused is tried once more after this: gateways rotate theirs."""
_FIRST_SPACE_SECONDS, _LONGEST_SPACE_SECONDS = 0.25, 5.0
_MOST_DOUBLINGS = 20

_UNREACHED = frozenset({FailureKind.CONNECT_ERROR, FailureKind.NOT_API, FailureKind.TRUNCATED_BODY})
_SAYS_NOTHING = frozenset({FailureKind.NOT_RECORDED, FailureKind.NOT_RUN, FailureKind.TASK_ERROR})


class State(StrEnum):
    """What is known of a service; the values are the words of the run log, which are those of circuit breakers."""

    TRYING = "half_open"
    FLOWING = "closed"
    PAUSED = "open"


class Breaker:
    """The state of one service. `why` says what led to it; all times are seconds of one monotonic clock."""

    def __init__(self, now: float) -> None:
        self.state = State.TRYING
        self.why = "the first calls"
        self.has_answered = False
        self._changed_at = now
        self._not_before = now
        self._widenings = 0
        self._setbacks = 0
        self._unreached = 0
        self._refusals = 0
        self._window: deque[bool] = deque()
        self._failures = 0
        self._failing_since: float | None = None
        self._pauses = 0

    # who may start ---------------------------------------------------------------------------------------

    def may_start(self, in_flight: int, now: float) -> bool:
        """Whether one more call may start, `in_flight` being on their way."""
        if self.state is State.FLOWING:
            return True
        if now < self._not_before:
            return False
        if self.state is State.PAUSED:
            self._try(now)
        if in_flight == 0:
            self._changed_at = now  # nobody is silent whom nobody has asked
            return True
        silent = int((now - self._changed_at) / WIDEN_SECONDS)
        return in_flight < (1 + self._widenings) << min(silent, _MOST_DOUBLINGS)

    def seconds_until_more(self, now: float) -> float:
        """Return how long the answer of `may_start` stays what it is, if no call ends."""
        if now < self._not_before:
            return self._not_before - now
        return WIDEN_SECONDS - (now - self._changed_at) % WIDEN_SECONDS

    # what came of a call ---------------------------------------------------------------------------------

    def judge(self, verdict: Verdict, now: float) -> Verdict:
        """Take note of what an attempt came to, and return its verdict with the last word on what follows."""
        kind = verdict.kind
        if kind in _SAYS_NOTHING or (verdict.stop and kind is not FailureKind.AUTH):
            return verdict
        if verdict.stop:
            return self._unauthorised(verdict, now)
        if kind is FailureKind.RATE_LIMITED:
            return self._limited(verdict, now)
        if kind is FailureKind.BAD_REQUEST and not self.has_answered:
            return self._refused(verdict, now)
        if kind is None or verdict.final or kind is FailureKind.BAD_REQUEST:
            return self._answered(verdict, now)
        return self._failed(verdict, now)

    def _answered(self, verdict: Verdict, now: float) -> Verdict:
        self.has_answered = True
        self._count(failed=False)
        if self._failing_since is not None and not self._mostly_fails:
            self._failing_since = None
        self._let_flow(now)
        return verdict

    def _limited(self, verdict: Verdict, now: float) -> Verdict:
        """The service is alive; pacing has the rest to say about it."""
        if self.has_answered:
            self._let_flow(now)
        else:
            self._set_back(now)
        return verdict

    def _refused(self, verdict: Verdict, now: float) -> Verdict:
        self._refusals += 1
        self._widenings += 1
        self._changed_at = now
        if self._refusals < REFUSALS_THAT_STOP:
            return verdict
        said = f"the first {self._refusals} questions were all refused, the last with {verdict.message}"
        return verdict._replace(stop=True, message=said)

    def _unauthorised(self, verdict: Verdict, now: float) -> Verdict:
        if not self.has_answered or self.state is State.TRYING:
            return verdict
        if self.state is State.FLOWING:
            self._pause(now, RECHECK_SECONDS, verdict.message)
        return verdict._replace(stop=False, retry="backoff", max_retries=1)

    def _failed(self, verdict: Verdict, now: float) -> Verdict:
        self._count(failed=True)
        unreached = verdict.kind in _UNREACHED and not self.has_answered
        self._unreached = self._unreached + 1 if unreached else 0
        if self._unreached >= UNREACHED_THAT_STOP:
            return verdict._replace(retry="no", stop=True)
        if self.state is State.TRYING and not self._pauses:
            self._widenings += not unreached
            self._set_back(now)
        if self.state is State.PAUSED:
            return verdict  # began before the pause
        if self._mostly_fails and self._failing_since is None:
            self._failing_since = now
        trial_failed = self.state is State.TRYING and self._pauses > 0
        has_tripped = self._failing_since is not None and now - self._failing_since >= FAILING_SECONDS
        if not trial_failed and not has_tripped:
            return verdict
        why = f"{self._failures} of the last {len(self._window)} calls failed, the last with {verdict.message}"
        if self._pauses == len(PAUSES_SECONDS):
            said = f"{why}; it was left alone {self._pauses} times for {sum(PAUSES_SECONDS):.0f} s, and still fails"
            return verdict._replace(retry="no", stop=True, message=said)
        self._pauses += 1
        self._pause(now, PAUSES_SECONDS[self._pauses - 1], why)
        return verdict

    # from state to state ---------------------------------------------------------------------------------

    def _let_flow(self, now: float) -> None:
        if self.state is not State.TRYING:
            return  # an answer to what was sent before a pause says nothing about after it
        self.state, self.why = State.FLOWING, "a call was answered"
        self._changed_at = now
        self._pauses = self._failures = 0
        self._window.clear()
        self._failing_since = None

    def _set_back(self, now: float) -> None:
        """Let the next call of a service that has not answered yet go a little later than this one failed."""
        self._setbacks += 1
        space = _FIRST_SPACE_SECONDS * 2.0 ** min(self._setbacks - 1, _MOST_DOUBLINGS)
        self._not_before = self._changed_at = now + min(space, _LONGEST_SPACE_SECONDS)

    def _pause(self, now: float, seconds: float, why: str) -> None:
        self.state, self.why = State.PAUSED, why
        self._not_before = self._changed_at = now + seconds

    def _try(self, now: float) -> None:
        self.state = State.TRYING
        self._changed_at = now
        self._widenings = 0

    def _count(self, *, failed: bool) -> None:
        self._window.append(failed)
        self._failures += failed
        if len(self._window) > WINDOW_CALLS:
            self._failures -= self._window.popleft()

    @property
    def _mostly_fails(self) -> bool:
        return len(self._window) >= FEWEST_CALLS and self._failures * 2 > len(self._window)
