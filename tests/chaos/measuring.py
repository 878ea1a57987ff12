"""Serving the classes of failure to the real command line, and counting what came of it."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from tests.chaos.certificates import untrusted
from tests.chaos.classes import MAX_RETRIES, Served
from tests.support.fault_server import FaultServer
from tests.support.project import Finished, Project
from tests.support.waiting import until

IMPORTS = """
from typing import Any, Literal
from pydantic import BaseModel
from llmbatch import Answer, Ask, parametrize, task

class Verdict(BaseModel):
    reasoning_steps: list[str]
    category: Literal["corrective", "adaptive", "perfective"]
"""
TASKS = {
    "ask": """
@task(samples="data/ask.jsonl", id="id")
@parametrize("model", ["service/model-a"])
async def asks(sample: dict[str, Any], ask: Ask) -> Answer[Verdict]:
    return await ask(Verdict, "classify.md", sample)
""",
    "stream": """
@task(samples="data/stream.jsonl", id="id")
@parametrize("model", ["service/model-a"])
async def streams(sample: dict[str, Any], client: Any, model: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": sample["message"]}]
    stream = await client.chat.completions.create(model=model.name, messages=messages, stream=True)
    parts = [choice.delta.content or "" async for chunk in stream for choice in chunk.choices]
    return {"said": "".join(parts)}
""",
    "raises": """
@task(samples="data/raises.jsonl", id="id")
@parametrize("model", ["service/model-a"])
async def raises(sample: dict[str, Any], ask: Ask) -> Any:
    await ask("classify.md", sample)
    raise ValueError("the parser found nothing")
""",
}
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
from llmbatch.cli import main
sys.exit(main())
"""
SAMPLES_OF_MANY = 300


@dataclass(frozen=True)
class Measured:
    """What came of one served fault: calls and billed calls as the server counted them, status and exit code."""

    calls: int
    billed: int
    row: str
    exit_code: int

    def differs(self, served: Served) -> str:
        """Return what is not as declared, in words; nothing where all is."""
        wrong = [
            *_apart("calls", self.calls, served.calls),
            *_apart("billed", self.billed, served.billed),
            *([f"row: {self.row}, not {served.row}"] if self.row != served.row else []),
            *_apart("exit code", self.exit_code, served.exit_code),
        ]
        return f"{served.number} [[{served.fault}]] ({served.how}): {'; '.join(wrong)}" if wrong else ""


def _apart(name: str, found: int, wanted: int | tuple[int, int]) -> list[str]:
    least, most = wanted if isinstance(wanted, tuple) else (wanted, wanted)
    return [] if least <= found <= most else [f"{name}: {found}, not {wanted}"]


def measure_together(folder: Path, served: Sequence[Served]) -> list[Measured]:
    """Serve faults that stop no run in one run; their expected exit codes must be one and the same."""
    with FaultServer() as server:
        project = _project(folder, server.base_url)
        named = [(f"c{number:02}", each) for number, each in enumerate(served)]
        kinds = list(dict.fromkeys(each.how for each in served))
        project.write_experiment(IMPORTS + "".join(TASKS[kind] for kind in kinds))
        for kind in kinds:
            samples = [_sample(name, each.fault) for name, each in named if each.how == kind]
            # the service is known to work before the first fault is met: that is what the page is about
            _write(project, kind, [_sample("fine", "with x=y"), *samples] if kind == "ask" else samples)
        finished = project.exp("--concurrency", "4")
        labels = server.truth()["labels"]
        rows = project.rows()
    return [_measured(labels, rows, name, finished) for name, _ in named]


def measure_alone(folder: Path, served: Served) -> Measured:
    """Serve one fault in a run of its own."""
    with FaultServer() as server:
        project = _project(folder, server.base_url)
        project.write_experiment(IMPORTS + TASKS["ask"])
        number = {"many": SAMPLES_OF_MANY, "disk": 60, "interrupt": 40}.get(served.how, 1)
        _write(project, "ask", [_sample("c", served.fault, place) for place in range(number)])
        finished = _run_alone(project, server, served)
        labels = server.truth()["labels"] if server.running else {}
        rows = project.rows()
    name = "c" if served.row != "not_run" else rows.filter(pl.col("llmbatch_status") == "not_run")["llmbatch_sample"][0]
    return _measured(labels, rows, name, finished)


def _run_alone(project: Project, server: FaultServer, served: Served) -> Finished:
    match served.how:
        case "closed":
            server.stop()
        case "tls":
            project.base_url = project.base_url.replace("http://", "https://")
        case "untrusted":
            with untrusted(project.root) as project.base_url:
                project.configure(project.settings)
                return project.exp()
        case "proxy":
            project.base_url = "http://model.invalid/v1"
            project.environ["HTTP_PROXY"] = server.url
        case "many":
            return project.exp("--concurrency", "64")
        case "disk":
            with project.start(program=(LIMITED,)) as process:
                out, err = process.communicate(timeout=120)
            return Finished(process.returncode, out, err)
        case "interrupt":
            with project.start("--concurrency", "8", "--window", "8") as process:
                until(partial(_has_called, server, 8), process)
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=120)
            return Finished(process.returncode, out, err)
    project.configure(project.settings)
    return project.exp()


def _project(folder: Path, base_url: str) -> Project:
    settings = f"max_retries = {MAX_RETRIES}\nhedge = false"  # a second call beside a late one would be counted too
    return Project(folder, base_url, settings=settings, service="timeout_seconds = 4\n")


def _sample(name: str, fault: str, place: int = 0) -> dict[str, str]:
    sample = name if place == 0 else f"{name}{place}"
    return {"id": sample, "message": f"[[label={name}]] [[{fault}]] of {sample}"}


def _write(project: Project, kind: str, rows: Iterable[dict[str, str]]) -> None:
    project.write_samples(list(rows))
    data = project.root / "experiments" / "data"
    (data / "commits.jsonl").rename(data / f"{kind}.jsonl")


def _has_called(server: FaultServer, count: int) -> bool:
    return int(server.truth()["calls"]) >= count


def _measured(labels: dict[str, list[int]], rows: pl.DataFrame, name: str, finished: Finished) -> Measured:
    calls, billed = labels.get(name.rstrip("0123456789") if name not in labels else name, [0, 0])
    [status] = rows.filter(pl.col("llmbatch_sample") == name)["llmbatch_status"].to_list()
    return Measured(calls, billed, str(status), finished.code)
