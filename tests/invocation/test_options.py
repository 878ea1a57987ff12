"""Options, record mode and what is said of missing answers: the pure parts of an invocation."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from llmbatch.config import Endpoint, ModelSettings, ResolvedModel
from llmbatch.errors import UsageError
from llmbatch.invocation.missing import missing_answers
from llmbatch.invocation.mode import ChosenMode, choose_mode
from llmbatch.invocation.opening import make_results_folder
from llmbatch.invocation.options import Settings, settings_of


def test_options_are_checked_and_made_uniform() -> None:
    """One model or several, text or path."""
    settings = settings_of({"model": "local/a", "results": "out", "limit": 3, "formats": ["csv"]})

    assert Settings(model=("local/a",), results=Path("out"), limit=3, formats=("csv",)) == settings


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"limits": 3}, "write `limit`"),
        ({"limit": 0}, "whole number"),
        ({"concurrency": True}, "whole number"),
        ({"rpm": 0}, "give rpm a whole number of 1 or more"),
        ({"tpm": -1}, "give tpm a whole number of 1 or more"),
        ({"record_mode": "newepisodes"}, "'new_episodes'"),
        ({"durability": "powr"}, "'power'"),
        ({"formats": ["parket"]}, "'parquet'"),
    ],
)
def test_a_wrong_option_is_named_with_the_fix(options: dict[str, Any], said: str) -> None:
    """The nearest name, or what the value may be."""
    with pytest.raises(UsageError) as raised:
        settings_of(options)

    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "environ", "mode"),
    [
        (Settings(), {}, "new_episodes"),
        (Settings(), {"CI": "true"}, "none"),
        (Settings(), {"CI": "0"}, "new_episodes"),
        (Settings(record_mode="all"), {"CI": "true"}, "all"),
    ],
)
def test_the_mode_asked_for_wins_and_ci_never_pays_by_itself(
    settings: Settings, environ: dict[str, str], mode: str
) -> None:
    """A build that forgot a flag must not call a service."""
    assert mode == choose_mode(settings, environ).mode


def test_missing_answers_name_the_key_the_counts_and_the_command() -> None:
    """A person should know what to type next."""
    model = ResolvedModel("svc/m", Endpoint("svc", "http://h/v1", "SVC_KEY"), "m", ModelSettings("m"))

    said = missing_answers(
        {"t[m-a]": (240, 240), "t[m-b]": (0, 10)}, {"svc/m": model}, ChosenMode("new_episodes", "the default"), "x.py"
    )

    assert "240 of 240 cases of t[m-a]" in said
    assert "t[m-b]: 10 of 10" in said
    assert "SVC_KEY is not set (endpoint svc)" in said
    assert "llmbatch cassette why x.py" in said
    assert "set SVC_KEY and run `llmbatch exp x.py`" in said


def test_runs_of_one_second_get_folders_of_their_own(tmp_path: Path) -> None:
    """No run overwrites another."""
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    names = [make_results_folder(tmp_path, now).name for _ in range(3)]

    assert ["2026-01-02T03-04-05Z", "2026-01-02T03-04-05Z-2", "2026-01-02T03-04-05Z-3"] == names
