"""Past runs for a terminal: a list of them, and one of them from what was paid to what went wrong. Reads no file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llmbatch.errors import ExitCode
from llmbatch.report.counting import counted
from llmbatch.report.page import Field, Heading, Part, Text
from llmbatch.runlog.account import Account, Groups, service_of
from llmbatch.runlog.reading import Event, PastRun, number_of, text_of

KILLED, RUNNING = "killed", "running"
ENDINGS = {
    ExitCode.FINE: "fine",
    ExitCode.NO_ANSWER: "answers missing",
    ExitCode.INTERRUPTED: "interrupted",
    ExitCode.OUR_BUG: "bug",
    ExitCode.USAGE: "stopped by an error",
    ExitCode.NOTHING_SELECTED: "nothing selected",
    ExitCode.SERVICE_STOPPED: "stopped by the service",
    ExitCode.DISK: "stopped by the disk",
}
"""How a run ended, by its exit code, in a word or two."""


def ending_of(run: PastRun, *, runs: bool) -> str:
    """Return how a run ended; `runs` says that its process is there."""
    code = number_of(run.end, "exit_code")
    if code is None:
        return RUNNING if runs else KILLED
    known = {int(each): words for each, words in ENDINGS.items()}
    return f"{known.get(int(code), 'unknown')} ({code:g})"


def page_of_runs(
    runs: Sequence[tuple[PastRun, bool]], *, more: int, skipped: Sequence[str], looked_for: str = "run"
) -> Iterator[Part]:
    """Yield a line for each run (two at 80 columns), then what is not listed. With each run, whether it still runs.

    `looked_for` says what there is none of, and where it was looked for.
    """
    yield Heading(f"{counted(len(runs), 'run')}, the newest first" if runs else f"no {looked_for} was found")
    for run, is_running in runs:
        parts = [f"{run.experiment}, {_variants_in_short(run)}: {ending_of(run, runs=is_running)}"]
        if run.end:
            parts += [
                f"{_cases(run)} cases, {_count(run, 'failed')} not ok",
                f"{_count(run, 'paid')} paid, {_count(run, 'cached')} cached",
                f"$ {_dollars(number_of(run.end, 'cost_usd'))}",
                _duration(number_of(run.end, "duration_seconds")),
            ]
        else:
            parts += [f"{_count(run, 'cases')} cases planned", f"last event at {run.last_at[11:19]}"]
        parts.append(text_of(run.start, "mode"))
        yield Field(run.name, "; ".join(parts))
    if more:
        yield Heading(f"and {counted(more, 'older run')}; --most N lists more", level=2)
    if skipped:
        yield Heading(f"skipped: {counted(len(skipped), 'file')}", level=2)
        for each in skipped:
            yield Field("", each)


def page_of_run(run: PastRun, account: Account, *, runs: bool) -> Iterator[Part]:
    """Yield all that is known of one run."""
    yield Heading(f"{run.experiment} {run.name}: {ending_of(run, runs=runs)}")
    yield from _fields_of(run)
    message = text_of(run.end, "message")
    if message:
        yield Text(message, "message")
    yield from _calls(account.calls)
    yield from _groups("attempts that were not a first success", account.attempts)
    yield from _groups("waits", account.waits)
    if account.hedges:
        yield Heading(f"hedges: {account.hedges:,} sent, {account.hedges_won:,} answered first", level=2)
    yield from _groups("cases without a good answer", account.failures)
    yield from _listed(account)


def _fields_of(run: PastRun) -> Iterator[Field]:
    named = _variants(run)
    more = f", and {len(named) - _MOST_VARIANTS} more" if named[_MOST_VARIANTS:] else ""
    yield Field("variants", ", ".join(named[:_MOST_VARIANTS]) + more or "-")
    yield Field("mode", f"{text_of(run.start, 'mode')} ({text_of(run.start, 'mode_origin')})")
    options = run.start.get("options")
    for name, told in options.items() if isinstance(options, dict) else ():
        if isinstance(told, list) and len(told) == 2:
            yield Field("option", f"{name} {told[0]} ({told[1]})")
    yield Field("began", text_of(run.start, "at"))
    if run.end:
        yield Field("took", _duration(number_of(run.end, "duration_seconds")))
        yield Field("cases", f"{_cases(run)} done, {_count(run, 'failed')} of them not ok")
        yield Field("answers", f"{_count(run, 'paid')} paid, {_count(run, 'cached')} from the cassette")
        tokens = f"{_count(run, 'tokens_in')} tokens in, {_count(run, 'tokens_out')} out"
        yield Field("paid", f"$ {_dollars(number_of(run.end, 'cost_usd'))}; {tokens}")
    else:
        yield Field("last event", f"{run.last_at}; what was recorded until then is in the cassette")
        yield Field("cases", f"{_count(run, 'cases')} planned")
    yield Field("folder", str(run.folder))


_MOST_VARIANTS = 6
MOST_CHARACTERS = 300
"""Of a message; services may put whole pages into theirs."""


def _variants(run: PastRun) -> list[str]:
    variants = run.start.get("variants")
    return [str(each) for each in variants] if isinstance(variants, list) else []


def _variants_in_short(run: PastRun) -> str:
    named = _variants(run)
    return named[0] if len(named) == 1 else counted(len(named), "variant")


def _calls(calls: Sequence[Event]) -> Iterator[Part]:
    if not calls:
        return
    yield Heading("calls", level=2)
    for event in calls:
        numbers = {name: number_of(event, name) or 0 for name in ("calls", "retried", "hedged", "waited_seconds")}
        said = f"{counted(int(numbers['calls']), 'attempt')}, {numbers['retried']:,.0f} after a failed one"
        if numbers["hedged"]:
            said += f", {numbers['hedged']:,.0f} beside another"
        if numbers["waited_seconds"]:
            said += f", {numbers['waited_seconds']:,.1f} s waited"
        cost = number_of(event, "cost_usd")
        yield Field(service_of(event), said + ("" if cost is None else f", $ {_dollars(cost)}"))


def _groups(title: str, groups: Groups) -> Iterator[Part]:
    if not groups:
        return
    yield Heading(f"{title}: {sum(group.count for group in groups.values()):,}", level=2)
    for (concerned, kind), group in sorted(groups.items(), key=lambda pair: -pair[1].count):
        seconds = f", {group.seconds:,.1f} s" if group.seconds else ""
        cost = f", $ {_dollars(group.cost_usd)}" if group.cost_usd else ""
        place = f" of {concerned}" if concerned else ""
        yield Field(kind, f"{group.count:,}{place}{seconds}{cost}")
        if group.example.strip(": "):
            yield Field("", f"first: {group.example[:MOST_CHARACTERS]}")


def _listed(account: Account) -> Iterator[Part]:
    if not account.listed:
        return
    yield Heading("what happened", level=2)
    if account.not_listed:
        yield Field("", f"{counted(account.not_listed, 'event')} before these")
    for event in account.listed:
        yield Field(text_of(event, "at")[11:19], f"{event['event']}: {words_of(event)}")


def words_of(event: Event) -> str:
    """Return what an event says beside its name, on one line; without tracebacks."""
    if event["event"] == "limit":
        return f"{service_of(event)} {event.get('was')} -> {event.get('limit')}, {text_of(event, 'why')}"
    said = [
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" if name not in _SPEAK else f"{value}"
        for name, value in event.items()
        if name not in {"at", "event", "traceback"} and value is not None
    ]
    return ", ".join(said)


_SPEAK = frozenset({"text", "error", "message", "why"})
"""Fields whose value says what it is."""


def _cases(run: PastRun) -> str:
    done, cases = number_of(run.end, "done"), run.count("cases")
    return f"{'-' if done is None else f'{done:,.0f}'}/{'-' if cases is None else f'{cases:,}'}"


def _count(run: PastRun, name: str) -> str:
    found = run.count(name)
    return "-" if found is None else f"{found:,}"


def _dollars(cost: float | None) -> str:
    return "-" if cost is None else f"{cost:,.4f}" if cost < 100 else f"{cost:,.2f}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
