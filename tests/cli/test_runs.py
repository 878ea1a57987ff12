"""`llmbatch runs`: what past runs came to, from their logs alone, whatever is in these."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmbatch.cassette.lock import this_process
from llmbatch.cli import main
from llmbatch.runlog.account import MOST_KINDS, MOST_LISTED, account_of

START: dict[str, Any] = {
    "event": "start",
    "experiment": "study",
    "variants": ["classify[a]", "classify[b]"],
    "cases": 10,
    "mode": "new_episodes",
    "mode_origin": "the default",
}
END: dict[str, Any] = {
    "event": "end",
    "exit_code": 0,
    "message": None,
    "duration_seconds": 75.5,
    "cases": 10,
    "done": 10,
    "failed": 2,
    "paid": 7,
    "cached": 3,
    "tokens_in": 1200,
    "tokens_out": 40,
    "cost_usd": 0.0123,
}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "llmbatch.toml").write_text("", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, *events: dict[str, Any] | str, experiment: str = "study") -> Path:
    folder = Path("results") / experiment / name
    folder.mkdir(parents=True)
    at = f"{name[:10]}T{name[11:19].replace('-', ':')}.000+00:00"
    lines = [each if isinstance(each, str) else json.dumps({"at": at, **each}) for each in events]
    (folder / "run.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert 0 == main(["runs", *words])
    return capsys.readouterr().out


def test_runs_are_listed_newest_first_with_what_they_came_to(capsys: pytest.CaptureFixture[str]) -> None:
    """Of all experiments, or of one by its name or its file."""
    write("2026-11-26T10-00-00Z", START, END)
    write("2026-11-27T09-00-00Z", START | {"experiment": "deep/other"}, END | {"exit_code": 2}, experiment="deep/other")
    write("2026-11-27T08-00-00Z", START, END | {"exit_code": 6})

    listed = [line for line in said(capsys).splitlines() if "classify" in line or "variants" in line]

    assert ["2026-11-27T09-00-00Z", "2026-11-27T08-00-00Z", "2026-11-26T10-00-00Z"] == [
        line.split()[0] for line in listed
    ]
    assert "deep/other, 2 variants: interrupted (2)" in listed[0]
    assert "study, 2 variants: stopped by the service (6)" in listed[1]
    assert "fine (0); 10/10 cases, 2 not ok; 7 paid, 3 cached; $ 0.0123; 1:15; new_episodes" in listed[2]
    assert 1 == said(capsys, "deep/other").count("variants:")
    assert 2 == said(capsys, "experiments/study.py").count("variants:")
    assert "and 2 older runs" in said(capsys, "--most", "1")


def test_a_run_without_an_end_was_killed_or_is_running(capsys: pytest.CaptureFixture[str]) -> None:
    """Told apart by its process; a torn last line is that of the kill."""
    write("2026-11-26T10-00-00Z", START | {**this_process(), "pid": 2**22 + 1}, '{"at": "2026-11-')
    write("2026-11-27T10-00-00Z", START | this_process(), {"event": "note", "text": "hello"})

    text = said(capsys)

    assert "2026-11-26T10-00-00Z  study, 2 variants: killed; 10 cases planned" in text
    assert "2026-11-27T10-00-00Z  study, 2 variants: running" in text


def test_what_is_no_log_of_ours_is_named_and_skipped(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever stands in it: no such file keeps the others from being listed."""
    write("2026-11-27T10-00-00Z", START, END)
    odd = ["", "hello", "[]", '{"event": 1}', '{"event": "end"}', "\x00\x1b[2J", "9" * 400]
    for number, text in enumerate(odd):
        write(f"2026-11-27T11-00-{number:02}Z", text)
    for number, event in enumerate(
        [START | {"experiment": 1, "cases": "x", "variants": 3, "at": []}, {"event": "start"}]
    ):
        write(f"2026-11-27T12-00-{number:02}Z", event, {"event": "end", "exit_code": 1e300, "done": True})

    text = said(capsys)

    assert f"skipped: {len(odd)} files" in text
    assert len(odd) == text.count("its first line is not the start of a run")
    assert "3 runs, the newest first" in text


def test_one_run_is_shown_with_what_was_paid_retried_waited_for_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    """Grouped by class with an example, and the history of limits as it happened."""
    service = {"endpoint": "service", "model": "m"}
    write(
        "2026-11-27T10-00-00Z",
        START,
        {"event": "limit", **service, "limit": 32, "was": 64, "why": "429"},
        *[{"event": "limit", **service, "limit": number + 1, "was": number, "why": "answers"} for number in (32, 33)],
        *[{"event": "attempt", **service, "kind": "rate_limited", "number": 1, "message": "HTTP 429"}] * 3,
        *[{"event": "wait", **service, "kind": "rate_limited", "seconds": 1.5}] * 2,
        {"event": "hedge", **service, "after_seconds": 9.0, "won": True},
        {"event": "warning", "case": "classify[a]::7", "kind": "server_error", "message": "HTTP 500: \x1b[2Jdown"},
        {"event": "task_error", "case": "classify[a]::8", "error": "KeyError: 'x'", "traceback": "..."},
        {"event": "calls", **service, "calls": 12, "retried": 3, "waited_seconds": 3.0, "hedged": 1, "cost_usd": 0.01},
        END | {"exit_code": 6, "message": "ServiceError: enough"},
    )

    text = said(capsys, "study", "last")

    assert "study 2026-11-27T10-00-00Z: stopped by the service (6)" in text
    assert "ServiceError: enough" in text
    assert "12 attempts, 3 after a failed one, 1 beside another, 3.0 s waited, $ 0.0100" in text
    assert "attempts that were not a first success: 3" in text
    assert "2 of service/m, 3.0 s" in text
    assert "hedges: 1 sent, 1 answered first" in text
    assert "first: classify[a]::7: HTTP 500: ␛[2Jdown" in text
    assert "first: classify[a]::8: KeyError: 'x'" in text
    assert "limit: service/m 64 -> 32, 429" in text
    assert "limit: service/m 32 -> 34, answers" in text
    assert "\x1b" not in text


def test_a_run_is_named_by_any_part_that_only_it_has(capsys: pytest.CaptureFixture[str]) -> None:
    """A part that several have is an error that lists them."""
    write("2026-11-26T10-00-00Z", START, END)
    write("2026-11-27T10-00-00Z", START, END)

    assert "2026-11-26T10-00-00Z: fine" in said(capsys, "study", "11-26")
    assert 4 == main(["runs", "study", "2026"])
    assert "2 runs have '2026' in their name" in capsys.readouterr().err
    assert 4 == main(["runs", "study", "1999"])
    assert 5 == main(["runs", "nothing"])


def test_the_same_is_there_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    """Events as they stand in the log, and the same sums."""
    write("2026-11-27T10-00-00Z", START, {"event": "wait", "kind": "timeout", "seconds": 2}, END)

    listed = json.loads(said(capsys, "--json"))
    shown = json.loads(said(capsys, "study", "last", "--json"))

    assert (7, "fine (0)") == (listed["runs"][0]["end"]["paid"], listed["runs"][0]["ended"])
    assert [{"of": "", "kind": "timeout", "count": 1, "example": "", "seconds": 2.0, "cost_usd": 0.0}] == shown["waits"]


def test_a_log_of_any_length_takes_bounded_memory() -> None:
    """A stranger's log may have a kind of its own in every line."""
    events = ({"event": "warning", "kind": f"kind {number}", "case": "c", "message": "m"} for number in range(5000))
    notes = ({"event": "note", "text": str(number)} for number in range(5000))

    account = account_of([*events, *notes])

    assert MOST_KINDS + 1 == len(account.failures)
    assert 5000 == sum(group.count for group in account.failures.values())
    assert (MOST_LISTED, 4900) == (len(account.listed), account.not_listed)


def test_an_experiment_without_runs_is_named_with_the_place_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    """A name that was mistyped is no empty list."""
    write("2026-11-26T10-00-00Z", START, END)

    code = main(["runs", "stuhdy"])

    assert 5 == code
    assert "no run of stuhdy below" in capsys.readouterr().out
