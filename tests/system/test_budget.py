"""A budget holds over the real command line, whatever the service does; what is known of the costs is said."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest

import llmbatch
from tests.support.fault_server import FaultServer
from tests.support.project import Project, commits
from tests.system.test_faults import ONE_MODEL

pytestmark = pytest.mark.system

PRICE_IN, PRICE_OUT = 1000.0, 2000.0
PRICED = f"models.model-a = {{ usd_per_million_in = {PRICE_IN}, usd_per_million_out = {PRICE_OUT} }}\n"


@pytest.fixture
def project(tmp_path: Path, server: FaultServer) -> Project:
    project = Project(tmp_path, server.base_url)
    project.write_experiment(ONE_MODEL)
    add_settings(project, PRICED)
    return project


def add_settings(project: Project, text: str) -> None:
    """Add lines to the endpoint's table."""
    path = project.root / "llmbatch.toml"
    path.write_text(path.read_text() + text, encoding="utf-8")


def billed_usd(server: FaultServer) -> float:
    """Return what the service's bill says."""
    truth = server.truth()
    return float((truth["tokens_in"] * PRICE_IN + truth["tokens_out"] * PRICE_OUT) / 1e6)


def amount(text: str, words: str) -> float:
    """Return the dollars that stand before or behind some words."""
    match = re.search(words.replace("$", r"\$([\d.,]+)"), text)
    assert match, text
    return float(match[1].replace(",", ""))


def test_what_is_spent_stays_within_the_budget_and_the_next_run_goes_on(project: Project, server: FaultServer) -> None:
    """Retries and answers that were lost on their way count; nothing is paid for twice."""
    faults = ("", "[[500 x1]]", "[[broken x1]]", "[[cut x1]]", *[""] * 10)
    samples = commits(120)
    for index, sample in enumerate(samples):
        sample["message"] += faults[index % len(faults)]
    project.write_samples(samples)

    first = project.exp("--budget", "12usd", "--concurrency", "16")
    bill, answers = billed_usd(server), server.truth()["answered"]
    rows = project.rows()
    done = rows.filter(pl.col("llmbatch_status") == "ok").height

    assert 1 == first.code, first.err
    assert "BudgetReached" in first.err
    assert bill <= 12 + amount(first.err, r"at most $ above the budget")
    assert bill >= 1, "the budget is of some use"
    assert "not_run" in set(rows["llmbatch_status"])
    second = project.exp("--budget", "$500")
    again = server.truth()["answered"] - answers
    assert 0 == second.code, second.err
    broken = sum("broken" in sample["message"] or "cut" in sample["message"] for sample in samples)
    assert 120 - done <= again <= 120 - done + broken
    third = project.exp()
    assert (0, answers + again) == (third.code, server.truth()["answered"])


def test_a_budget_below_one_call_sends_nothing(project: Project, server: FaultServer) -> None:
    """The error names what a call may cost."""
    project.write_samples(commits(3))

    done = project.exp("--budget", "0.001")

    assert 4 == done.code
    assert "does not pay for one call of service/model-a: it may cost $" in done.err
    assert 0 == server.truth()["calls"]


def test_a_budget_without_a_price_sends_nothing(project: Project, server: FaultServer) -> None:
    """A machine of one's own costs nothing; another one does, and nobody knows what."""
    project.write_samples(commits(2))
    project.configure("")
    free = project.exp("--budget", "1")
    project.base_url = "http://llm.example.org/v1"
    project.configure("budget_usd = 1.0")
    unknown = project.exp("--cassette", "cassettes/other")

    assert 0 == free.code, free.err
    assert project.rows()["llmbatch_cost_usd"].to_list() == [None, None]
    assert 4 == unknown.code
    assert "no price of service/model-a is known" in unknown.err
    assert "usd_per_million_in" in unknown.err
    assert 2 == server.truth()["calls"]


@pytest.mark.parametrize("text", ["five", "0", "-1"])
def test_what_is_no_budget_is_a_usage_error(project: Project, text: str) -> None:
    """Before anything is opened."""
    done = project.exp(f"--budget={text}")

    assert 4 == done.code
    assert f"the budget is '{text}'" in done.err


CLIENT = """
from llmbatch import parametrize, task

@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/model-a"])
async def say(sample, client, model) -> dict:
    reply = await client.chat.completions.create(
        model=model.name, messages=[{"role": "user", "content": sample["message"]}], max_tokens=50
    )
    return {"said": reply.choices[0].message.content}
"""


def test_the_calls_of_a_client_count_too(project: Project, server: FaultServer) -> None:
    """Each with its retries; the run ends where the budget does."""
    project.write_experiment(CLIENT)
    samples = commits(30)
    for sample in samples[::5]:
        sample["message"] += "[[broken x1]]"
    project.write_samples(samples)

    first = project.exp("--budget", "1")
    bill = billed_usd(server)
    second = project.exp("--budget", "10")

    assert 1 == first.code, first.err
    assert 0.1 < bill <= 1 + amount(first.err, r"at most $ above the budget")
    assert 0 == second.code, second.err
    assert {"ok"} == set(project.rows()["llmbatch_status"])


def test_a_known_service_has_its_price_without_a_word_of_it(project: Project) -> None:
    """From the package, by the address; the estimate is there before anything is sent."""
    project.write_experiment(ONE_MODEL.replace("service/model-a", "openai/gpt-4o-mini"))
    project.write_samples(commits(2))
    project.environ["OPENAI_API_KEY"] = "not-a-real-key-but-long-enough"

    done = project.exp("--budget", "0.00001", "-q")

    assert 4 == done.code, done.err
    assert "does not pay for one call of openai/gpt-4o-mini: it may cost $0.000" in done.err
    assert not list(project.cassette.glob("*.yaml"))


async def test_a_program_may_give_a_budget(project: Project) -> None:
    """And reads what was paid."""
    project.write_samples(commits(30))

    run = await llmbatch.arun(project.root / "experiments" / "study.py", budget_usd=2.0, record_mode="new_episodes")

    assert 1 == run.exit_code
    assert "BudgetReached" in (run.message or "")
    assert 0 < run.bill.usd <= 2.0
    assert run.paid == run.bill.attempts < 30


def test_the_budget_of_the_configuration_is_one_for_all_files(project: Project, server: FaultServer) -> None:
    """As that of the command line: what may be spent is spent once."""
    project.service = PRICED
    project.configure("budget_usd = 5.0")
    text = (project.root / "experiments" / "study.py").read_text()
    (project.root / "experiments" / "other.py").write_text(text.replace("def classify", "def another"))
    project.write_samples(commits(60))

    done = project.exp("experiments/other.py", "--concurrency", "4")

    assert 1 == done.code, done.err
    assert 2.0 < billed_usd(server) <= 5.0
