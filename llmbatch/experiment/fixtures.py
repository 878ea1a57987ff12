"""What cases share: `fixture`, and a fixture whose signature was checked. Knows no run; it only remembers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

from llmbatch.errors import TaskError
from llmbatch.experiment.place import definition_of, nearest, place_of

F = TypeVar("F", bound=Callable[..., Any])
Scope = Literal["run", "experiment", "task"]
"""A run is of one experiment, so the first two are the same."""

SCOPES: tuple[Scope, ...] = get_args(Scope)

FIXTURE_ATTRIBUTE = "__llmbatch_fixture__"
"""Where a fixture function keeps its declaration."""


@dataclass(frozen=True, slots=True)
class FixtureDeclaration:
    """All that `@fixture` says."""

    name: str
    function: Callable[..., Any]
    scope: Scope
    file: str
    line: int

    @property
    def place(self) -> str:
        """Where the function is defined, as `file:line`."""
        return place_of(self.file, self.line)


@dataclass(frozen=True, slots=True, eq=False)
class Fixture:
    """A fixture as it is made: `arguments` are its own of `ask`, `client` and `model`, `needs` other fixtures.

    One that `yields` goes on behind its `yield` when it is torn down.
    """

    name: str
    function: Callable[..., Any]
    scope: Scope
    place: str
    is_async: bool
    yields: bool
    arguments: tuple[str, ...]
    needs: tuple[Fixture, ...]


def fixture(*, scope: Scope = "experiment") -> Callable[[F], F]:
    """Shared by name: what the function returns, or yields, is handed to every task that takes an argument so named.

    Made once for the experiment or once for each task, when a case first needs it; sync or async, and what stands
    behind a `yield` runs when the run ends. Its calls are recorded as a case of its own. Raises TaskError.
    """
    if scope not in SCOPES:
        near = nearest(str(scope), SCOPES)
        raise TaskError(
            f"there is no scope {scope!r}",
            known=", ".join(SCOPES),
            fix=f"write {near!r}" if near else "leave it out: once for the experiment",
        )

    def decorate(function: F) -> F:
        if not hasattr(function, "__code__"):
            raise TaskError(
                f"@fixture decorates {getattr(function, '__name__', repr(function))}, which is no function",
                fix="decorate a def; a task is no fixture",
            )
        file, line = definition_of(function)
        setattr(function, FIXTURE_ATTRIBUTE, FixtureDeclaration(function.__name__, function, scope, file, line))
        return function

    return decorate
