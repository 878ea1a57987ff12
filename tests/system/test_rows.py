"""A row is a function of the cassette: the same recorded, replayed, priced anew or asked in another order."""

from __future__ import annotations

import polars as pl
import pytest

import llmbatch
from llmbatch.errors import ConfigError, TaskError
from llmbatch.invocation.options import RecordMode
from tests.support.fault_server import FaultServer
from tests.support.project import KEY_VARIABLE, Project, commits

pytestmark = pytest.mark.system

HEAD = """
import asyncio
from typing import Any, Literal
from pydantic import BaseModel
from llmbatch import Answer, Ask, AnswerError, parametrize, task

class Verdict(BaseModel):
    reasoning_steps: list[str]
    category: Literal["corrective", "adaptive", "perfective"]
"""

TASK = """
@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/model-a"])
"""


@pytest.fixture(autouse=True)
def no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """With CI set a run replays only, and these record."""
    monkeypatch.delenv("CI", raising=False)


async def run(project: Project, text: str, mode: RecordMode = "new_episodes") -> llmbatch.Run:
    project.write_experiment(HEAD + text)
    return await llmbatch.arun(project.root / "experiments" / "study.py", record_mode=mode, concurrency=8)


async def recorded_and_replayed(project: Project, text: str) -> pl.DataFrame:
    """Return the rows of a recording; those of its replay must be the same."""
    recorded = (await run(project, text)).rows
    replayed = (await run(project, text, "none")).rows
    assert recorded.to_dicts() == replayed.to_dicts()
    return recorded


async def test_an_ask_that_outlives_its_case_is_recorded_and_the_row_is_the_replays(project: Project) -> None:
    """One half of a gather raises while the other is on its way: its answer is paid for, and must not be lost."""
    project.write_samples([{"id": "a", "fast": "m [[garbage]]", "slow": "m [[delay=0.3]]"}])

    rows = await recorded_and_replayed(
        project,
        TASK
        + """
async def both(sample, ask: Ask) -> dict[str, Any]:
    async def value(text):
        return (await ask(Verdict, "Sort {text}", {"text": text})).value.category
    slow, fast = await asyncio.gather(value(sample["slow"]), value(sample["fast"]))
    return {"slow": slow, "fast": fast}
""",
    )

    assert 2 == rows["llmbatch_asks"][0]
    assert rows["llmbatch_status"][0] in {"parse_error", "invalid_answer"}


async def test_a_task_that_stops_waiting_does_not_lose_the_answer(project: Project, server: FaultServer) -> None:
    """A time-out in a task gives up waiting; the answer comes, is recorded, and is the row's."""
    project.write_samples([{"id": "a", "message": "m [[delay=0.3]]"}])

    rows = await recorded_and_replayed(
        project,
        TASK
        + """
async def hurried(sample, ask: Ask) -> str:
    async with asyncio.timeout(0.05):
        return (await ask("Say {message}", sample)).value
""",
    )

    assert ["ok"] == rows["llmbatch_status"].to_list()
    assert 1 == server.truth()["answered"]


async def test_gathered_answers_are_told_in_the_order_of_asking(project: Project) -> None:
    """Whichever ends first: the failure of a case is that of the first question that failed."""
    project.write_samples([{"id": "a", "one": "m [[delay=0.2]] [[refusal]]", "two": "m [[garbage]]"}])

    rows = await recorded_and_replayed(
        project,
        TASK
        + """
async def both(sample, ask: Ask) -> dict[str, Any]:
    answers = await asyncio.gather(*(ask(Verdict, "Sort {t}", {"t": sample[n]}) for n in ("one", "two")))
    return {"first": answers[0].value.category}
""",
    )

    assert ["refusal"] == rows["llmbatch_status"].to_list()


async def test_a_failed_answer_with_more_columns_is_a_failed_row(project: Project) -> None:
    """`answer.row(...)` adds columns; it does not make an answer good."""
    project.write_samples([{"id": "a", "message": "m [[garbage]]"}, {"id": "b", "message": "m"}])
    text = (
        TASK
        + """
async def counted(sample, ask: Ask) -> dict[str, Any]:
    return (await ask(Verdict, "Sort {message}", sample)).row(words=3)
"""
    )

    rows = await recorded_and_replayed(project, text)
    elsewhere = await llmbatch.arun(
        project.root / "experiments" / "study.py", cassette=project.root / "empty", record_mode="none"
    )

    assert rows["llmbatch_status"][0] in {"parse_error", "invalid_answer"}
    assert ["ok", 3] == [rows["llmbatch_status"][1], rows["words"][1]]
    assert ["not_recorded"] * 2 == elsewhere.rows["llmbatch_status"].to_list()
    assert 1 == elsewhere.exit_code


async def test_a_price_that_is_edited_later_moves_no_row(project: Project) -> None:
    """An answer costs what it cost when it was recorded; the prices are kept beside it."""
    project.write_samples(commits(2))
    config = project.root / "llmbatch.toml"
    bare = config.read_text()
    text = TASK + 'async def say(sample, ask: Ask) -> Answer[str]:\n    return await ask("Say {message}", sample)\n'

    def price(usd: float) -> None:
        models = f"models.model-a = {{ usd_per_million_in = {usd}, usd_per_million_out = {usd} }}\n"
        config.write_text(bare + models, encoding="utf-8")

    price(1.0)
    recorded = (await run(project, text)).rows
    price(10.0)
    replayed = (await run(project, text, "none")).rows

    assert recorded["llmbatch_cost_usd"].null_count() == 0
    assert recorded.equals(replayed)


async def test_what_a_task_does_to_its_sample_stays_in_its_case(project: Project) -> None:
    """Neither the row nor another variant, repeat or rehearsal sees it."""
    project.write_samples([{"id": "a", "tags": ["x"], "message": "m"}])

    rows = await recorded_and_replayed(
        project,
        """
@task(samples="data/commits.jsonl", id="id", repeat=2)
@parametrize("model", ["service/model-a", "service/model-b"])
async def say(sample, ask: Ask) -> dict[str, Any]:
    sample["tags"].append("seen")
    await ask("Say {tags}", sample)
    return {"tags_seen": len(sample["tags"])}
""",
    )

    assert [["x"]] * 4 == rows["tags"].to_list()
    assert [2] * 4 == rows["tags_seen"].to_list()


async def test_a_task_that_asks_until_an_answer_comes_does_not_hang_its_rehearsal(project: Project) -> None:
    """In a rehearsal no answer comes."""
    project.write_samples(commits(1))

    rows = await recorded_and_replayed(
        project,
        TASK
        + """
async def stubborn(sample, ask: Ask) -> Answer[str]:
    answer = await ask("Say {message}", sample)
    while not answer.ok:
        answer = await ask("Say {message}", sample)
    return answer
""",
    )

    assert ["ok"] == rows["llmbatch_status"].to_list()


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        ('ask("Say {message}", sample, temprature=1.0)', TaskError, "write temperature="),
        ('ask("Say {message}", sample, model="nosuch/model")', ConfigError, "no endpoint is named `nosuch`"),
        ("ask(dict[str, Any], 'Say {message}', sample)", TaskError, "fix"),
    ],
)
async def test_a_mistake_in_an_ask_stops_before_the_first_call(
    project: Project, server: FaultServer, call: str, error: type[Exception], said: str
) -> None:
    """The rehearsal puts each variant's first question without sending it."""
    project.write_samples(commits(4))

    with pytest.raises(error) as raised:
        await run(project, TASK + f"async def say(sample, ask: Ask) -> Any:\n    return await {call}\n")

    assert said in str(raised.value)
    assert 0 == server.truth()["calls"]


async def test_a_client_without_its_key_calls_nothing(server: FaultServer, project: Project) -> None:
    """An endpoint whose key variable is empty replays only, whoever asks."""
    config = project.root / "llmbatch.toml"
    config.write_text(config.read_text() + f'key_env = "{KEY_VARIABLE}"\n', encoding="utf-8")
    project.write_samples(commits(2))

    finished = await run(
        project,
        TASK
        + """
async def say(sample, client, model) -> str:
    reply = await client.chat.completions.create(
        model=model.name, messages=[{"role": "user", "content": sample["message"]}]
    )
    return reply.choices[0].message.content
""",
    )

    assert ["not_recorded"] * 2 == finished.rows["llmbatch_status"].to_list()
    assert 0 == server.truth()["calls"]


async def test_an_experiment_without_any_ask_has_rows_and_tables(project: Project) -> None:
    """A sync task computes; its rows have every column of a row."""
    project.write_samples(commits(3))

    finished = await run(
        project,
        """
@task(samples="data/commits.jsonl", truth="label", id="id")
def fixed(sample) -> str:
    return "adaptive"
""",
    )

    assert ["ok"] * 3 == finished.rows["llmbatch_status"].to_list()
    assert pytest.approx(1 / 3, abs=1e-5) == finished.metric("accuracy").value


async def test_values_without_a_text_of_their_own_have_one_that_every_process_shares(project: Project) -> None:
    """No address of an object and no order of a set gets into a table."""
    project.write_samples(commits(1))

    rows = await recorded_and_replayed(
        project,
        """
def strict(text): return text

@task(samples="data/commits.jsonl", id="id")
@parametrize("how", [strict, {"b", "a"}, {"k": [1]}, Verdict])
def shown(sample, how) -> str:
    return type(how).__name__
""",
    )

    assert ["strict", '["a","b"]', '{"k":[1]}', "Verdict"] == rows["llmbatch_how"].to_list()


async def test_a_value_that_no_table_can_hold_costs_its_own_row_only(project: Project) -> None:
    """It is the author's to mend, and the others are answered."""
    project.write_samples([{"id": "a", "message": "m"}, {"id": "b", "message": "m \\ud800"}])

    finished = await run(
        project,
        """
@task(samples="data/commits.jsonl", id="id")
def odd(sample) -> dict[str, Any]:
    if sample["id"] == "a":
        return {"cell": {1, 2}}
    raise ValueError("a lone surrogate: \\ud800")
""",
    )

    assert ["task_error", "task_error"] == finished.rows["llmbatch_status"].to_list()
    assert "set" in finished.rows["llmbatch_error"][0]
    assert (finished.path / "run.jsonl").read_text(encoding="utf-8").count("task_error") == 2


async def test_a_handled_failure_does_not_hide_a_bug_behind_it(project: Project) -> None:
    """The author's own exception is the row's, with its traceback in the run log."""
    project.write_samples([{"id": "a", "message": "m [[404]]"}])

    finished = await run(
        project,
        TASK
        + """
async def say(sample, client, model) -> str:
    import aiohttp
    try:
        async with aiohttp.ClientSession() as session:
            async with session.get(model.base_url.removesuffix("/v1") + "/nowhere") as reply:
                reply.raise_for_status()
    except aiohttp.ClientResponseError:
        pass
    return {}["missing"]
""",
    )

    assert ["KeyError: 'missing'"] == finished.rows["llmbatch_error"].to_list()
    assert "Traceback" in (finished.path / "run.jsonl").read_text(encoding="utf-8")


GIVES_UP = {
    "and asks something else meanwhile": (
        """
async def t(sample, ask: Ask) -> dict[str, Any]:
    try:
        async with asyncio.timeout(0.1):
            await ask("slow [[delay=0.3]] {message}", sample)
    except TimeoutError:
        await ask("fallback [[delay=0.5]] {message}", sample)
        return {"x": "fallback"}
    return {"x": "ok"}
""",
        ("ok", "ok", 1),
    ),
    "and would have asked more": (
        """
async def t(sample, ask: Ask) -> dict[str, Any]:
    try:
        async with asyncio.timeout(0.1):
            await ask("slow [[delay=0.3]] {message}", sample)
    except TimeoutError:
        return {"x": "timeout"}
    await ask("then {message}", sample)
    return {"x": "ok"}
""",
        ("ok", "ok", 2),
    ),
    "with a branch that goes on behind its back": (
        """
async def t(sample, ask: Ask) -> dict[str, Any]:
    async def bad():
        await ask("bad {message}", sample)
        raise ValueError("x")
    async def chain():
        await ask("A [[delay=0.2]] {message}", sample)
        await ask("B [[delay=0.3]] {message}", sample)
    await asyncio.gather(bad(), chain())
    return {"x": "never"}
""",
        ("task_error", None, 3),
    ),
}


@pytest.mark.parametrize("how", GIVES_UP)
async def test_a_task_that_gives_up_an_ask_is_run_again_until_it_gives_up_none(
    project: Project, server: FaultServer, how: str
) -> None:
    """The row is the one of a replay, and no question is sent twice."""
    project.write_samples([{"id": "a", "message": "m"}])
    text, (status, x, asks) = GIVES_UP[how]

    rows = await recorded_and_replayed(project, TASK + text)

    assert (status, asks) == (rows["llmbatch_status"][0], rows["llmbatch_asks"][0])
    assert x is None or x == rows["x"][0]
    assert {1} == set(server.truth()["per_key"].values())


async def test_a_fatal_error_of_one_branch_does_not_lose_the_answer_of_another(
    project: Project, server: FaultServer
) -> None:
    """The run ends, and what it has sent is in the cassette."""
    project.write_samples([{"id": "a", "message": "m"}, {"id": "b", "message": "m2", "bad": True}])

    finished = await run(
        project,
        TASK
        + """
async def t(sample, ask: Ask) -> dict[str, Any]:
    async def slow():
        return await ask("slow [[delay=0.3]] {message}", sample)
    async def wrong():
        await ask("first {message}", sample)
        return await ask("wrong {nofield}" if sample.get("bad") else "right {message}", sample)
    answers = await asyncio.gather(slow(), wrong())
    return {"n": len(answers)}
""",
    )
    server.reset()
    with llmbatch.Cassette(project.cassette) as cassette:
        recorded = len(list(cassette))

    assert 4 == finished.exit_code
    assert 5 == recorded == finished.paid


async def test_a_field_of_a_later_sample_is_no_second_column_of_a_variants_name(project: Project) -> None:
    """The samples may be rows of an earlier run. Collection looks at the first of them alone."""
    project.write_samples([{"id": "a"}, {"id": "b", "llmbatch_tone": ["x", {"y": 1}]}])

    ran = await run(
        project,
        """
@task(samples="data/commits.jsonl", id="id")
@parametrize("tone", ["short"])
def told(sample, tone: str) -> str:
    return tone
""",
    )

    assert ["short", "short"] == ran.rows["llmbatch_tone"].to_list()
