"""`llmbatch runs`: the past runs of a project or an experiment, newest first, and what happened in one of them."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmbatch.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from llmbatch.runlog.reading import PastRun

MOST = 20
LAST = "last"


def add(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("experiment", nargs="?", metavar="EXPERIMENT", help="its file or name; of all, if left out")
    parser.add_argument(
        "run", nargs="?", metavar="RUN", help="what happened in this one: its name, a part of it, or last"
    )
    parser.add_argument("--results", metavar="DIR", help="the folder to look below (default: results/ of the project)")
    parser.add_argument("--most", type=int, default=MOST, metavar="N", help=f"list the newest N (default {MOST})")
    parser.add_argument("--json", action="store_true", help="print one JSON object, for machines")


def run(options: argparse.Namespace) -> int:
    """Print the list, or the one run; return 0, or 5 where there is none."""
    if options.most < 1:
        raise UsageError(f"--most is {options.most}", fix="give --most a whole number of 1 or more")
    folder = _folder(options.results)
    runs, skipped = _runs_below(folder, _name_of(options.experiment, folder))
    if options.run is not None:
        _show(_chosen(runs, options.run), as_json=options.json)
        return ExitCode.FINE
    looked_for = f"run{f' of {options.experiment}' if options.experiment else ''} below {folder}"
    _list(runs, skipped, most=options.most, as_json=options.json, looked_for=looked_for)
    return ExitCode.FINE if runs else ExitCode.NOTHING_SELECTED


def _folder(results: str | None) -> Path:
    from llmbatch.collect.experiment import find_root  # noqa: PLC0415 - `--help` should not load it

    if results is not None:
        return Path(results)
    return find_root(Path.cwd() / "any.py") / "results"


def _name_of(experiment: str | None, folder: Path) -> str | None:
    """Return an experiment's name, as its results have it, from the name or the path of its file."""
    from llmbatch.collect.experiment import experiment_name, find_root  # noqa: PLC0415 - as above

    if experiment is None or not experiment.endswith(".py"):
        return experiment
    path = Path(experiment).absolute()
    return experiment_name(path, find_root(path))


def _runs_below(folder: Path, experiment: str | None) -> tuple[list[PastRun], list[str]]:
    """Return the runs, newest first, and in words what is no run log of ours."""
    from llmbatch.runlog.reading import ForeignLogError, logs_below, past_run_of  # noqa: PLC0415 - as above

    runs, skipped = [], []
    for path in logs_below(folder):
        try:
            found = past_run_of(path)
        except (ForeignLogError, OSError) as error:
            skipped.append(f"{path}: {error}")
            continue
        if experiment in {None, found.experiment}:
            runs.append(found)
    runs.sort(key=lambda each: (str(each.start.get("at", "")), len(each.name), each.name), reverse=True)
    return runs, skipped


def _chosen(runs: list[PastRun], wanted: str) -> PastRun:
    found = runs[:1] if wanted == LAST else [each for each in runs if wanted in each.name]
    exact = [each for each in found if each.name == wanted] or found
    if len(exact) == 1:
        return exact[0]
    raise UsageError(
        f"{len(exact)} runs have {wanted!r} in their name" if exact else f"no run has {wanted!r} in its name",
        runs="\n".join(f"{each.experiment} {each.name}" for each in (exact or runs)[:10]) or "none",
        fix="name the experiment and one run: llmbatch runs EXPERIMENT RUN",
    )


def _list(runs: list[PastRun], skipped: list[str], *, most: int, as_json: bool, looked_for: str) -> None:
    from llmbatch.report.page import print_page  # noqa: PLC0415 - as above
    from llmbatch.report.runs import page_of_runs  # noqa: PLC0415 - as above

    shown = runs[:most]
    if as_json:
        print(json.dumps({"runs": [_as_json(each) for each in shown], "skipped": skipped}, indent=2))
    else:
        pairs = [(each, _is_running(each)) for each in shown]
        print_page(page_of_runs(pairs, more=len(runs) - len(shown), skipped=skipped, looked_for=looked_for))


def _show(chosen: PastRun, *, as_json: bool) -> None:
    from llmbatch.report.page import print_page  # noqa: PLC0415 - as above
    from llmbatch.report.runs import page_of_run  # noqa: PLC0415 - as above
    from llmbatch.runlog import RUN_LOG  # noqa: PLC0415 - as above
    from llmbatch.runlog.account import account_of  # noqa: PLC0415 - as above
    from llmbatch.runlog.reading import events_of  # noqa: PLC0415 - as above

    try:
        account = account_of(events_of(chosen.folder / RUN_LOG))
    except OSError as error:
        what = f"the log of {chosen.name} cannot be read: {error}"
        raise UsageError(what, fix="check the file and its rights") from error
    if not as_json:
        print_page(page_of_run(chosen, account, runs=_is_running(chosen)))
        return
    told = {
        name: [{"of": of, "kind": kind, **asdict(group)} for (of, kind), group in groups.items()]
        for name, groups in (("failures", account.failures), ("attempts", account.attempts), ("waits", account.waits))
    }
    listed = {"calls": account.calls, "happened": list(account.listed), "not_listed": account.not_listed}
    hedges = {"hedges": account.hedges, "hedges_won": account.hedges_won}
    print(json.dumps({**_as_json(chosen), **told, **hedges, **listed}, indent=2))


def _is_running(run: PastRun) -> bool:
    from llmbatch.cassette.lock import still_runs  # noqa: PLC0415 - as above

    return not run.end and still_runs(run.start)


def _as_json(run: PastRun) -> dict[str, Any]:
    from llmbatch.report.runs import ending_of  # noqa: PLC0415 - as above

    ended = ending_of(run, runs=_is_running(run))
    return {"run": run.name, "folder": str(run.folder), "ended": ended, "start": run.start, "end": run.end or None}
