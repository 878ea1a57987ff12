"""The fixtures that the tasks of a file can take: each checked, with those it needs. Makes none of them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from llmbatch.errors import TaskError
from llmbatch.experiment.fixtures import FIXTURE_ATTRIBUTE, Fixture, FixtureDeclaration
from llmbatch.experiment.injection import PROVIDED, inspect_fixture, is_awaited


def fixtures_of(namespace: Mapping[str, object]) -> dict[str, Fixture]:
    """Return the fixtures of a module's names, those that it imports included, by their own names.

    Raises TaskError for an argument that nothing provides, a circle, two fixtures of one name, and one that outlives
    what it needs.
    """
    declared: dict[str, FixtureDeclaration] = {}
    for value in namespace.values():
        found = getattr(value, FIXTURE_ATTRIBUTE, None)
        if isinstance(found, FixtureDeclaration):
            _check_name(found, declared)
            declared[found.name] = found
    made: dict[str, Fixture] = {}
    for name in declared:
        _make(name, declared, made, ())
    return made


def _make(
    name: str, declared: Mapping[str, FixtureDeclaration], made: dict[str, Fixture], on_the_way: tuple[str, ...]
) -> Fixture:
    if name in made:
        return made[name]
    one = declared[name]
    if name in on_the_way:
        circle = " -> ".join([*on_the_way[on_the_way.index(name) :], name])
        raise TaskError(f"fixtures need one another: {circle}", place=one.place, fix="let one of them take none")
    taken = inspect_fixture(one, declared)
    needs = tuple(_make(each, declared, made, (*on_the_way, name)) for each in taken if each in declared)
    for need in needs:
        if one.scope != "task" and need.scope == "task":
            raise TaskError(
                f"{name} is made once for the experiment, and takes `{need.name}`, which each task has of its own",
                place=one.place,
                fix=f'write @fixture(scope="task") for {name}, or leave the scope of {need.name} out',
            )
    function = one.function
    made[name] = Fixture(
        name=name,
        function=function,
        scope=one.scope,
        place=one.place,
        is_async=is_awaited(function),
        yields=inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function),
        arguments=tuple(each for each in taken if each not in declared),
        needs=needs,
    )
    return made[name]


def _check_name(found: FixtureDeclaration, declared: Mapping[str, FixtureDeclaration]) -> None:
    if found.name in PROVIDED:
        raise TaskError(
            f"a fixture is named `{found.name}`, which every task is given anyway",
            place=found.place,
            reserved=", ".join(PROVIDED),
            fix="rename the function",
        )
    earlier = declared.get(found.name)
    if earlier is not None and earlier is not found:
        raise TaskError(
            f"two fixtures are named {found.name}", place=found.place, first=earlier.place, fix="rename one of them"
        )
