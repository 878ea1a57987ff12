"""What must hold after every scenario, whatever happened in it: one function, the ten invariants one by one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from llmbatch.cassette.store import Store
from tests.chaos.scenarios import CANARY, CODES, CONCURRENCY, Played, content_digest
from tests.support.kills import digest

BROKEN_ON_THE_WAY = ("cut", "rst", "broken", "excess", "empty")
"""Faults of answers that were billed."""
TIMES_THE_RATE = 1.15
_LEFT_BEHIND = ("*.tmp", "*.draft", "*.partial", ".lock*")


def violations(played: Played) -> list[str]:
    """Return which invariants do not hold, each in a line; nothing where all do."""
    checks = (_rows, _kept, _sound, _replays, _paid, _in_flight, _codes, _digests, _secrets, _left_behind)
    return [f"I{number} {said}" for number, check in enumerate(checks, 1) for said in check(played)]


def duplicates(played: Played) -> int:
    """Return how many calls were billed for a question that was billed before."""
    return int(played.truth["answered"]) - len(played.truth["per_key"])


def _rows(played: Played) -> Iterator[str]:
    """I1: one row a sample, the same ones as were put in, in their order, and each answered."""
    rows = played.project.rows()
    if rows["llmbatch_sample"].to_list() != [f"s{number:04}" for number in range(played.samples)]:
        yield f"the rows are not those of the samples: {len(rows)} of {played.samples}"
    if rows.filter(pl.col("llmbatch_status") != "ok").height:
        yield f"not every row is ok: {rows['llmbatch_status'].value_counts().rows()}"


def _kept(played: Played) -> Iterator[str]:
    """I2: what was recorded at the end of any run is there in all later ones, and was not asked again."""
    yield from played.lost


def _sound(played: Played) -> Iterator[str]:
    """I3: every byte of the cassette belongs to a whole line."""
    with Store(played.project.cassette) as store:
        yield from store.verify()


def _replays(played: Played) -> Iterator[str]:
    """I4: the replay, with all connections refused, is the run's table byte for byte."""
    if played.offline.code != 0:
        yield f"the replay ended with {played.offline.code}: {played.offline.err}"
    if played.replayed != played.rows:
        yield "the replay's rows are not the run's"


def _paid(played: Played) -> Iterator[str]:
    """I5: a question costs its answer, one more call for each fault served, and what was on its way at an end."""
    truth = played.truth
    faults = {name: number for name, number in truth["per_fault"].items() if name not in {"", "drip", "blanks"}}
    in_flight = CONCURRENCY * sum(end in {"kill", "torn tail"} for end, _ in played.ends)
    torn = sum(end in {"torn tail", "full disk"} for end, _ in played.ends) * CONCURRENCY
    hedged = _hedges(played)
    extra = truth["calls"] - len(truth["attempts"]) - sum(faults.values())
    if extra > in_flight + torn + hedged:
        yield f"{extra} calls beyond answers and faults, with {in_flight} in flight at kills and {hedged} hedges"
    broken = sum(faults.get(name, 0) for name in BROKEN_ON_THE_WAY)
    if duplicates(played) > broken + in_flight + torn + hedged:
        yield f"{duplicates(played)} answers were billed twice, and {broken} broke on their way"


def _hedges(played: Played) -> int:
    logs = played.project.root.glob("results/**/run.jsonl")
    lines = [line for log in logs for line in log.read_text(encoding="utf-8").splitlines()]
    return sum(json.loads(line)["event"] == "hedge" for line in lines if line.endswith("}"))


def _in_flight(played: Played) -> Iterator[str]:
    """I6: never more on their way than allowed (a killed run's calls go on at the server), nor more in a second."""
    most = CONCURRENCY * (2 if any(end in {"kill", "torn tail"} for end, _ in played.ends) else 1)
    if played.truth["max_in_flight"] > most:
        yield f"{played.truth['max_in_flight']} calls were in flight, of {most}"
    if played.scenario.service.startswith("rpm"):
        rpm = int(played.scenario.service.split("=")[1])
        if played.truth["max_in_one_minute"] > TIMES_THE_RATE * rpm:
            yield f"{played.truth['max_in_one_minute']} calls in a minute, of {rpm}"


def _codes(played: Played) -> Iterator[str]:
    """I7: every run ends with the exit code of its end, and says why in a line."""
    for end, finished in played.ends:
        if finished.code not in CODES[end]:
            yield f"{end} ended with {finished.code}: {finished.err[-500:]}"
        elif finished.code > 0 and not finished.err.strip():
            yield f"{end} said nothing"
    if played.finished.code != 0:
        yield f"the last run ended with {played.finished.code}: {played.finished.err[-500:]}"


def _digests(played: Played) -> Iterator[str]:
    """I8: rows and cassette are those of the calm run."""
    if digest(played.project) != played.calm.rows:
        yield "the rows are not those of the calm run"
    if content_digest(played.project) != played.calm.cassette:
        yield "the cassette is not that of the calm run"


def _secrets(played: Played) -> Iterator[str]:
    """I9: the key is in no file and in nothing that was printed."""
    printed = [finished.out + finished.err for _, finished in played.ends]
    printed += [each.out + each.err for each in (played.finished, played.offline)]
    if any(CANARY in text for text in printed):
        yield "the key was printed"
    for path in _files(played.project.root):
        if CANARY.encode() in path.read_bytes():
            yield f"the key is in {path}"


def _left_behind(played: Played) -> Iterator[str]:
    """I10: no lock, no draft, no half-written table is left, and no process."""
    root = played.project.root
    yield from (f"{path} was left behind" for kind in _LEFT_BEHIND for path in root.rglob(kind))
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve() == root.resolve():
                yield f"process {process.name} still runs"
        except OSError:  # it has ended meanwhile, or is another's
            continue


def _files(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if path.is_file())
