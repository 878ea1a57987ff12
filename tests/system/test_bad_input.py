"""What a person has set wrong: one line says the cause, the next ones where it was set and the fix; nothing twice."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from tests.support.fault_server import FaultServer
from tests.support.project import Project
from tests.support.waiting import until
from tests.system.test_faults import ONE_MODEL, messages

pytestmark = pytest.mark.system
ELSEWHERE = "http://model.invalid/v1"
PASSWORD = "a-password-of-the-proxy"


@pytest.mark.parametrize(
    ("fault", "base_url", "environ", "cause", "fix", "most"),
    [
        (
            "[[401]]",
            "{v1}",
            {},
            "service refuses the key in LLMBATCH_TEST_KEY",
            "check the key in LLMBATCH_TEST_KEY",
            1,
        ),
        ("[[404]]", "{v1}", {}, "service knows no model 'model-a'", "llmbatch doctor service", 1),
        ("", "{url}", {}, "base_url has no /v1", 'write base_url = "{v1}"', 1),
        ("[[407]]", ELSEWHERE, {"HTTP_PROXY": "{url}"}, "{url} (HTTP_PROXY) refuses", "user and password", 1),
        ("", ELSEWHERE, {"HTTP_PROXY": "http://127.0.0.1:9"}, "there is no proxy at http://127.0.0.1:9", "NO_PROXY", 0),
        ("", "https://model.invalid/v1", {"HTTPS_PROXY": "{user}"}, "(HTTPS_PROXY) refuses to pass", "NO_PROXY", 0),
        ("[[html]]", "{v1}", {}, "a web page answers in its place", "sign in to the network", 3),
        ("[[plain]]", "{v1}", {}, "what answers there is no model API", "correct base_url", 3),
        ("[[nothttp]]", "{v1}", {}, "speaks no HTTP", "correct host and port", 3),
        ("", "http://no-such-host.invalid/v1", {}, "name cannot be looked up", "correct the host", 0),
    ],
    ids=["key", "model", "v1", "407", "no proxy", "proxy", "portal", "text", "no HTTP", "name"],
)
def test_a_wrong_setting_is_named_with_its_place_and_the_fix(  # noqa: PLR0917
    tmp_path: Path,
    server: FaultServer,
    fault: str,
    base_url: str,
    environ: dict[str, str],
    cause: str,
    fix: str,
    most: int,
) -> None:
    """Exit code 6 after as few calls as can tell; the file and line, or the variable, is where to go."""
    known = {"url": server.url, "v1": server.base_url, "user": server.url.replace("//", f"//user:{PASSWORD}@")}
    project = Project(tmp_path / "project", base_url.format(**known), key="a-key-of-sixteen-letters")
    project.environ |= {name: value.format(**known) for name, value in environ.items()}
    project.write_experiment(ONE_MODEL)
    project.write_samples(messages(*(f"{fault} {number}" for number in range(3))))
    finished = project.exp("--concurrency", "1")
    said = finished.err[finished.err.index("ServiceError") :].splitlines()
    log = (project.rows_file().parent / "run.jsonl").read_text(encoding="utf-8")

    assert finished.code == 6, finished.err
    assert cause.format(**known) in said[0]
    assert any(line.startswith("  fix ") and fix.format(**known) in line for line in said)
    assert f"{project.root / 'llmbatch.toml'}:3" in finished.err
    assert all(f"({name})" in finished.err for name in environ)
    assert server.truth()["per_path"].get("/v1/chat/completions", 0) + server.truth()["answered"] <= most
    assert PASSWORD not in finished.err + log


@pytest.mark.parametrize(
    ("settings", "base_url", "words"),
    [
        ("", "{v1}/chat/completions", "cut it after /v1"),
        ("rpm = 0\n", "{v1}", "1 or more"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_its_line_before_any_call(
    tmp_path: Path, server: FaultServer, settings: str, base_url: str, words: str
) -> None:
    """Exit code 4: a limit of nought would wait for ever."""
    project = Project(tmp_path / "project", base_url.format(v1=server.base_url), service=settings)
    project.write_samples(messages("fine"))
    finished = project.exp()

    assert finished.code == 4, finished.err
    assert words in finished.err
    assert f"{project.root / 'llmbatch.toml'}:{5 if settings else 3}" in finished.err
    assert server.truth()["calls"] == 0


HANGS = """
import asyncio, pathlib, time
from llmbatch import Ask, parametrize, task

@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/model-a"])
async def hangs(sample, ask: Ask):
    answer = await ask("classify.md", sample)
    if sample["id"] == "s1":
        pathlib.Path("hanging").touch()
        {how}
    return {{"said": answer.value}}

@task(samples="data/commits.jsonl", id="id")
def fine(sample):
    return {{"said": "fine"}}
"""


@pytest.mark.skipif(os.name == "nt", reason="signals to other processes are POSIX")
@pytest.mark.parametrize(
    ("how", "status", "words"),
    [
        ("await asyncio.sleep(3600)", "not_run", "still on their way when the run ended: hangs[model-a]::s1"),
        ("while True: time.sleep(0.01)", "task_error", "stopping"),
    ],
    ids=["waits for ever", "keeps the event loop"],
)
def test_a_task_that_hangs_in_its_own_code_is_named_and_costs_its_row_only(
    project: Project, server: FaultServer, how: str, status: str, words: str
) -> None:
    """The first signal drains, the second ends it; whatever was answered has its row, and the next run goes on."""
    project.write_experiment(HANGS.format(how=how))
    project.write_samples(messages("one", "two", "three"))
    with project.start("--window", "1") as process:
        until((project.root / "hanging").exists, process)
        process.send_signal(signal.SIGINT)
        until(partial(_said, project, process.pid, "SIGINT"), process)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    rows = project.rows()

    assert process.returncode == 2, err
    assert words in err
    assert rows["llmbatch_status"].to_list()[:2] == ["ok", status]
    assert len(rows) == 6
    assert server.truth()["calls"] == 2


def _said(project: Project, pid: int, signal_name: str) -> bool:
    """Whether the process has taken a signal: it is no longer pending."""
    number = signal.Signals[signal_name]
    pending = Path(f"/proc/{pid}/status")
    if not pending.exists():
        return True
    fields = dict(line.split(":\t", 1) for line in pending.read_text(encoding="utf-8").splitlines() if ":\t" in line)
    return not int(fields["ShdPnd"], 16) & (1 << (number - 1))
