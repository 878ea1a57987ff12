"""What is known of a run before anything is opened: the experiment, the options, the configuration, the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmbatch.collect.experiment import Experiment
from llmbatch.collect.target import Selector
from llmbatch.config import Config, load_config
from llmbatch.invocation.last_run import cases_without_ok
from llmbatch.invocation.mode import ChosenMode, choose_mode
from llmbatch.invocation.options import OPTIONS, Settings
from llmbatch.invocation.profiles import with_profile
from llmbatch.invocation.prompts import check_prompts
from llmbatch.plan import Plan, build_plan
from llmbatch.plan.narrow import narrowed
from llmbatch.samples import Selection

CASES_PER_SLOT = 4
"""How many cases may be in flight for each HTTP attempt, so that a slot never waits for a prompt."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that is known and checked before the cassette is opened."""

    experiment: Experiment
    settings: Settings
    config: Config
    mode: ChosenMode
    plan: Plan
    secrets: tuple[str, ...]

    @property
    def cassette(self) -> Path:
        """The folder of the run's cassette."""
        return self.settings.cassette or self.experiment.root / "cassettes" / self.experiment.name

    @property
    def results(self) -> Path:
        """The folder that holds the folders of the experiment's runs."""
        return results_of(self.experiment, self.settings)

    @property
    def hedge(self) -> bool:
        """Whether late calls get a second one."""
        return self.config.hedge if self.settings.hedge is None else self.settings.hedge

    @property
    def concurrency(self) -> int:
        """How many HTTP attempts may be in flight."""
        return self.settings.concurrency or self.config.concurrency

    @property
    def budget_usd(self) -> float | None:
        """The most that the run may spend; None without a limit."""
        return self.settings.budget_usd or self.config.budget_usd

    def options(self) -> dict[str, tuple[Any, str]]:
        """Return every option that is not as it is by itself: its value, and where that comes from."""
        found: dict[str, tuple[Any, str]] = {}
        for name in OPTIONS:
            if name in self.settings.origins:
                found[name] = getattr(self.settings, name), self.settings.origins[name]
            elif name in self.config.told and self.config.source is not None:
                found[name] = getattr(self.config, name), self.config.source.name
        return found

    @property
    def window(self) -> int:
        """How many cases may be in flight."""
        return self.settings.window or self.concurrency * CASES_PER_SLOT


def results_of(experiment: Experiment, settings: Settings) -> Path:
    """Return the folder of an experiment's results."""
    return settings.results or experiment.root / "results" / experiment.name


def prepare(
    experiment: Experiment, selectors: Sequence[Selector], settings: Settings, environ: Mapping[str, str]
) -> Prepared:
    """Read the configuration and build the plan. Raises AuthorError; nothing is written or called."""
    config = load_config(experiment.path, environ)
    settings = with_profile(settings, config)
    plan = build_plan(
        experiment,
        selectors=selectors,
        keyword=settings.keyword,
        marks=settings.marks,
        selection=Selection(settings.limit, settings.sample, settings.seed),
        repeat=settings.repeat,
        models=settings.model,
        strict=settings.strict,
    )
    if settings.last_failed:
        plan = narrowed(plan, cases_without_ok(results_of(experiment, settings)))
    check_prompts(plan)
    secrets = tuple(config.secrets(environ))
    return Prepared(experiment, settings, config, choose_mode(settings, environ), plan, secrets)
