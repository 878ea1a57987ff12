"""The command line's own words: what is mistyped is named with the nearest that exists."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmbatch.cli import main

EXPERIMENT = """
from llmbatch import task

@task(samples=[{"text": "one"}])
def plain(sample) -> str:
    return sample["text"]
"""


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An experiment that asks nobody, in a project of its own."""
    (tmp_path / "llmbatch.toml").write_text("", encoding="utf-8")
    path = tmp_path / "study.py"
    path.write_text(EXPERIMENT, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return path


@pytest.mark.parametrize(
    ("arguments", "fix"),
    [
        (["exp", "study.py", "--ofline"], "write --offline"),
        (["exp", "study.py", "--format", "cvs"], "write csv"),
        (["exp", "study.py", "--limit", "x"], "--help lists what there is"),
        (["exp", "study.py", "--limit", "0"], "a whole number of 1 or more"),
        (["exp", "study.py", "--offline", "--record-mode", "all"], "leave one of them out"),
        (["exp", "studi.py"], "write study.py"),
        (["ex"], "write exp"),
    ],
)
def test_a_mistake_is_named_with_the_next_step(
    study: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], fix: str
) -> None:
    """Exit code 4, on standard error, and nothing is run."""
    code = main(arguments)

    assert 4 == code
    assert fix in capsys.readouterr().err
    assert not (study.parent / "results").exists()


def test_files_may_stand_among_the_flags(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As with any other command."""
    (study.parent / "other.py").write_text(EXPERIMENT, encoding="utf-8")

    code = main(["exp", "study.py", "--collect-only", "other.py"])

    assert 0 == code
    assert "other.py::plain  1 case\n" in capsys.readouterr().out


def test_nothing_selected_is_said_and_has_a_code_of_its_own(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As pytest's 5."""
    code = main(["exp", "study.py", "-k", "nonsense", "--quiet"])

    assert 5 == code
    assert "no variant of plain matches" in capsys.readouterr().err


def test_what_is_new_can_be_collected(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where there are settings already, the endpoint that is missing from them is named."""
    codes = [main(["new", "tone"]), main(["exp", "experiments/tone.py", "--collect-only"])]

    printed = capsys.readouterr().out
    assert [0, 0] == codes
    assert "[endpoints.local]" in printed
    assert "8 cases" in printed


def test_what_is_said_of_a_failure_holds_no_key(
    study: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of one that happens before anything is opened: an exception of the experiment file may quote it."""
    monkeypatch.setenv("STUDY_API_KEY", "a-planted-value-of-some-length")
    study.write_text('import os\nraise ValueError(os.environ["STUDY_API_KEY"])\n', encoding="utf-8")

    code = main(["exp", "study.py"])

    said = capsys.readouterr().err
    assert 4 == code
    assert "ValueError" in said
    assert "a-planted-value" not in said
