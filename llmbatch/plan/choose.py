"""Which variants of an experiment a run takes: selectors, `-k`, `-m` and `--model`. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from llmbatch.collect.target import Selector
from llmbatch.errors import UsageError
from llmbatch.experiment.parameter import Parameter, Value
from llmbatch.experiment.place import nearest
from llmbatch.experiment.words import Task
from llmbatch.plan.expression import parse_expression
from llmbatch.plan.variant import Variant, variants_of

Chosen = dict[Task[..., Any], tuple[Variant, ...]]
"""The variants of each task, tasks in the order of their definition; a task may have none left."""


def with_models(tasks: Sequence[Task[..., Any]], models: Sequence[str]) -> Chosen:
    """Return all variants, under the models given if any.

    A task that is parametrised by `model` keeps the variants with one of them; any other task runs with each.
    Raises UsageError for a model that no task takes.
    """
    chosen: Chosen = {}
    unknown = dict.fromkeys(models)
    known: dict[str, None] = {}
    for task in tasks:
        parametrised = "model" in task.parameter_names
        parameters = task.declaration.parameters
        if models and not parametrised:
            rows = tuple(Value((model,)) for model in dict.fromkeys(models))
            parameters = (Parameter(("model",), rows), *parameters)
            unknown.clear()
        variants = variants_of(task, parameters)
        if models and parametrised:
            known.update(dict.fromkeys(variant.model for variant in variants if variant.model is not None))
            variants = tuple(variant for variant in variants if variant.model in models)
            for variant in variants:
                unknown.pop(variant.model or "", None)
        chosen[task] = variants
    for model in unknown:
        raise _unknown("--model names", model, known, "is parametrised by it")
    return chosen


def selected(chosen: Chosen, selectors: Sequence[Selector]) -> Chosen:
    """Keep what at least one selector names. Raises UsageError for a task or a variant that is not there."""
    if not selectors:
        return chosen
    by_name = {task.name: task for task in chosen}
    for selector in selectors:
        if selector.task not in by_name:
            raise _unknown("", selector.task, by_name, "is a task of this experiment")
        ids = [variant.id for variant in chosen[by_name[selector.task]]]
        if selector.variant is not None and selector.variant not in ids:
            raise _unknown("", str(selector), [f"{selector.task}[{text}]" for text in ids if text], "is a variant")
    wanted = set(selectors)
    return _filter(
        chosen,
        lambda task, variant: not wanted.isdisjoint({Selector(task.name), Selector(task.name, variant.id)}),
    )


def by_keyword(chosen: Chosen, keyword: str | None) -> Chosen:
    """Keep the variants whose `task[variant]` matches `-k`; a name matches where it occurs, in any case."""
    if keyword is None:
        return chosen
    expression = parse_expression(keyword, flag="-k")

    def keeps(task: Task[..., Any], variant: Variant) -> bool:
        text = f"{task.name}[{variant.id}]".casefold()
        return expression.matches(lambda name: name.casefold() in text)

    return _filter(chosen, keeps)


def by_marks(chosen: Chosen, marks: str | None) -> Chosen:
    """Keep the variants whose marks, the task's and their values', satisfy `-m`.

    Raises UsageError for a mark that nothing has: its negation would silently select everything.
    """
    if marks is None:
        return chosen
    expression = parse_expression(marks, flag="-m")
    known = {mark for task, variants in chosen.items() for mark in task.declaration.marks} | {
        mark for variants in chosen.values() for variant in variants for mark in variant.marks
    }
    for name in expression.names:
        if name not in known:
            raise _unknown("-m names", name, sorted(known), "has that mark")
    return _filter(
        chosen,
        lambda task, variant: expression.matches(lambda name: name in task.declaration.marks or name in variant.marks),
    )


def _filter(chosen: Chosen, keeps: Callable[[Task[..., Any], Variant], bool]) -> Chosen:
    return {task: tuple(variant for variant in variants if keeps(task, variant)) for task, variants in chosen.items()}


def _unknown(where: str, name: str, known: Iterable[str], what: str) -> UsageError:
    names = list(known)
    near = nearest(name, names)
    return UsageError(
        f"{where} {name}, and nothing {what}" if where else f"nothing named {name} {what}",
        known=", ".join(names) or "none",
        fix=f"write {near}" if near else "choose one of those" if names else "leave it out",
    )
