"""The error tree, by who can put it right. Knows nothing of any other room.

LlmbatchError
├── AuthorError          the experiment, its files or the command line: exit code 4
│   ├── UsageError           a flag or an argument
│   ├── ConfigError          llmbatch.toml, [tool.llmbatch], the environment
│   ├── TaskError            a declaration in an experiment file
│   ├── SampleError          a sample file or a line of it
│   ├── PromptError          a prompt file, a placeholder
│   ├── AmbiguousDraw        equal questions that run at once without `draw=`
│   └── UnrecordedConnection a connection past the recorder that the project does not allow
├── RecordingError       the cassette
│   ├── NoAnswerRecorded     a miss where nothing may be called: exit code 1
│   ├── CassetteLocked       another run writes it: exit code 4
│   ├── CassetteDamaged      a line that is not what was written: exit code 4
│   └── DiskError            the disk is full, read-only or broken: exit code 7
├── BudgetReached        the run has spent what it may: exit code 1
├── NotApproved          the person at the terminal was asked, and did not want to pay: exit code 2
├── ServiceError         the service stopped the run: exit code 6
├── AnswerError          an answer was asked for that is not there (a row's failure, not the run's)
└── InternalError        our bug: exit code 3
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process says of a run."""

    FINE = 0
    NO_ANSWER = 1
    INTERRUPTED = 2
    OUR_BUG = 3
    USAGE = 4
    NOTHING_SELECTED = 5
    SERVICE_STOPPED = 6
    DISK = 7


class LlmbatchError(Exception):
    """Root of the tree: what happened, where, and labelled details that end in the fix.

    `place` is `file:line` where that is known. `details` are printed below, one line a label, in the
    order given; by convention the last is `fix`, the next step.
    """

    exit_code: ExitCode = ExitCode.OUR_BUG

    def __init__(self, what: str, *, place: str | None = None, **details: str) -> None:
        super().__init__(what)
        self.what = what
        self.place = place
        self.details = details

    def __str__(self) -> str:
        first = self.what if self.place is None else f"{self.what}        {self.place}"
        width = max((len(label) for label in self.details), default=0)
        indent = "\n" + " " * (width + 4)
        lines = [f"  {label:<{width}}  {text.replace(chr(10), indent)}" for label, text in self.details.items()]
        return "\n".join([first, *lines])

    def report(self) -> str:
        """Return the whole message, the name of the error first."""
        return f"{type(self).__name__}: {self}"

    def line(self) -> str:
        """Return the name of the error, what happened and the fix in one line, as a row keeps it."""
        fix = self.details.get("fix")
        return f"{type(self).__name__}: {self.what}" + (f" (fix: {fix})" if fix else "")


class AuthorError(LlmbatchError):
    """Something the author of the experiment puts right."""

    exit_code = ExitCode.USAGE


class UsageError(AuthorError):
    """A flag or an argument that cannot be used as given."""


class ConfigError(AuthorError):
    """A setting in llmbatch.toml, `[tool.llmbatch]` or the environment that cannot be used."""


class TaskError(AuthorError):
    """A declaration in an experiment file that cannot be run."""


class SampleError(AuthorError):
    """A sample file, or one line of it, that cannot be read."""


class PromptError(AuthorError):
    """A prompt file that cannot be parsed, or a placeholder without a field."""


class AmbiguousDraw(AuthorError):
    """Equal questions asked by branches of one case that run at once, without `draw=`."""


class UnrecordedConnection(AuthorError):
    """A connection past the recorder, to a host that `allow_hosts` does not name: what it sends is not recorded."""


class RecordingError(LlmbatchError):
    """Something about the cassette."""


class NoAnswerRecorded(RecordingError):
    """A request without a recorded answer where nothing may be called."""

    exit_code = ExitCode.NO_ANSWER


class CassetteLocked(RecordingError):
    """Another run writes this cassette."""

    exit_code = ExitCode.USAGE


class CassetteDamaged(RecordingError):
    """A line of a segment is not what was written there."""

    exit_code = ExitCode.USAGE


class DiskError(RecordingError):
    """A record could not be written whole; it does not count as recorded."""

    exit_code = ExitCode.DISK


class ServiceError(LlmbatchError):
    """The service refused in a way that no further call can help."""

    exit_code = ExitCode.SERVICE_STOPPED


class BudgetReached(LlmbatchError):
    """The run has spent what it may. Its end is as asked for, and the cases that are left have no answer."""

    exit_code = ExitCode.NO_ANSWER


class NotApproved(LlmbatchError):
    """The person at the terminal was asked, and did not want the run to pay."""

    exit_code = ExitCode.INTERRUPTED


class AnswerError(LlmbatchError):
    """An answer was asked for that is not there.

    `kind` is the row's failure category (a `FailureKind` value), `text` what the model said, if anything.
    """

    def __init__(self, what: str, *, kind: str, text: str = "", place: str | None = None, **details: str) -> None:
        super().__init__(what, place=place, **details)
        self.kind = kind
        self.text = text


class InternalError(LlmbatchError):
    """A promise of llmbatch's own did not hold."""
