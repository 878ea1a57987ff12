"""Run options that a project keeps under a name, and where each option comes from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmbatch.cli.arguments import build_parser
from llmbatch.cli.exp import _settings
from llmbatch.collect import collect
from llmbatch.errors import ConfigError
from llmbatch.invocation.options import settings_of
from llmbatch.invocation.prepared import Prepared, prepare
from tests.support.project import Project, commits

EXPERIMENT = """
from llmbatch import Ask, task

@task(samples=[{"id": str(number)} for number in range(100)], id="id")
async def asked(sample, ask: Ask):
    return await ask("hello", model="openai/gpt-4o-mini")
"""
PROFILES = """
concurrency = 16

[profiles.pilot]
limit = 50
budget_usd = 1.0
concurrency = 8
results = "elsewhere"
last_failed = false
"""


def prepared(folder: Path, toml: str = PROFILES, **options: object) -> Prepared:
    (folder / "llmbatch.toml").write_text(toml, encoding="utf-8")
    (folder / "asked.py").write_text(EXPERIMENT, encoding="utf-8")
    return prepare(collect(folder / "asked.py"), [], settings_of(options), {})


def test_a_profile_says_what_the_call_does_not(tmp_path: Path) -> None:
    """And is itself before the configuration; paths are the project's."""
    found = prepared(tmp_path, profile="pilot", limit=7)

    assert (7, 1.0, 8) == (found.plan.count(), found.budget_usd, found.concurrency)
    assert tmp_path / "elsewhere" == found.results


def test_every_option_knows_where_it_comes_from(tmp_path: Path) -> None:
    """One that is as it is by itself is not listed."""
    with_it = prepared(tmp_path, profile="pilot", limit=7).options()
    without = prepared(tmp_path).options()

    assert (7, "the call") == with_it["limit"]
    assert (8, "profile pilot") == with_it["concurrency"]
    assert {"concurrency": (16, "llmbatch.toml")} == without
    assert "seed" not in with_it


@pytest.mark.parametrize(
    ("line", "what", "fix"),
    [
        ("limits = 5", "profiles.pilot has `limits`, which is no run option", "write `limit`"),
        ('profile = "other"', "profiles.pilot has `profile`, which is no run option", ""),
        ("limit = 0", "profiles.pilot: limit is 0", "whole number"),
        ('strict = "yes"', "profiles.pilot: strict is 'yes'", "true or false"),
        ('record_mode = "al"', "profiles.pilot: record_mode is 'al'", "'all'"),
    ],
)
def test_a_wrong_option_of_a_profile_is_named_with_its_place(tmp_path: Path, line: str, what: str, fix: str) -> None:
    """File and line, and the nearest name."""
    with pytest.raises(ConfigError) as raised:
        prepared(tmp_path, f"[profiles.pilot]\n{line}\n", profile="pilot")

    assert what == raised.value.what
    assert fix in raised.value.details["fix"]
    assert "llmbatch.toml:" in (raised.value.place or "")


def test_a_profile_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    """Nothing is run under the wrong options."""
    with pytest.raises(ConfigError, match="no profile is named `pilott`") as raised:
        prepared(tmp_path, profile="pilott")

    assert ("pilot", "write `pilot`") == (raised.value.details["profiles"], raised.value.details["fix"])


def test_a_flag_that_is_not_there_says_nothing_and_one_that_is_does() -> None:
    """Switches that turn something off are said too."""

    def said(*flags: str) -> dict[str, object]:
        options = vars(build_parser().parse_args(["exp", "x.py", *flags]))
        return _settings({name: value for name, value in options.items() if name != "command"})

    assert {} == said()
    assert {"hedge": False, "strict": True, "progress": False} == said("--no-hedge", "--strict", "--quiet")


@pytest.mark.system
def test_the_command_line_goes_before_a_profile_and_the_log_says_so(project: Project) -> None:
    """Flags that are not given say nothing, be they numbers or switches."""
    config = project.root / "llmbatch.toml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text + "\n[profiles.pilot]\nlimit = 2\nstrict = true\nprogress = false\n", encoding="utf-8")
    project.write_samples(commits(9))

    finished = project.exp("--profile", "pilot", "--limit", "3")

    assert (0, 6) == (finished.code, project.rows().height), finished.err
    assert 1 == len(finished.err.splitlines()), finished.err
    start = json.loads((project.rows_file().parent / "run.jsonl").read_text(encoding="ascii").splitlines()[0])
    assert [3, "the command line"] == start["options"]["limit"]
    assert [True, "profile pilot"] == start["options"]["strict"]
