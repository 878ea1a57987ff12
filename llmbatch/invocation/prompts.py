"""Every prompt file that an experiment names, parsed and checked before anything is opened or asked."""

from __future__ import annotations

from pathlib import Path

from llmbatch.plan import Plan, PlannedTask
from llmbatch.prompt import Prompts, is_prompt_file


def check_prompts(plan: Plan) -> None:
    """Parse each file that a parameter named `prompt` or `..._prompt` gives; the truth may be in none of them.

    Whether every other placeholder has a field is seen in the rehearsal, since a task may pass any mapping. Raises
    PromptError naming the file and the line.
    """
    prompts = Prompts(plan.experiment.base_folders)
    for task in plan.with_sources():
        for variant in task.variants:
            for name, value in variant.values.items():
                if isinstance(value, str | Path) and _names_prompt(name) and is_prompt_file(value):
                    template = prompts.get(value)
                    template.check((placeholder for placeholder, _ in template.placeholders), _withheld(task))


def _names_prompt(parameter: str) -> bool:
    return parameter == "prompt" or parameter.endswith("_prompt")


def _withheld(task: PlannedTask) -> frozenset[str]:
    return frozenset() if task.truth is None else frozenset({task.truth})
