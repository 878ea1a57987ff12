"""Record once, replay for ever: the same command, the same tables, nothing asked twice."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import openai
import polars as pl
import pytest
import vcr

import llmbatch
from llmbatch.cassette.store import Store
from llmbatch.tables.write import VOLATILE_COLUMNS, frame_digest
from tests.support.fault_server import FaultServer
from tests.support.project import Project, commits

pytestmark = pytest.mark.system


def digest(project: Project) -> str:
    with Store(project.cassette) as store:
        return store.content_digest()


def test_replays_give_the_same_bytes_at_any_concurrency_with_the_server_gone(
    project: Project, server: FaultServer
) -> None:
    """A table is a function of samples and cassette: not of the machine, the speed or the order of completion."""
    project.write_samples(commits(60))
    recorded = project.exp("--concurrency", "16")
    first = project.rows_file().read_bytes()
    server.stop()

    replays = [project.exp("--offline", "--concurrency", text) for text in ("1", "64")]
    contents = {(folder / "rows.parquet").read_bytes() for folder in project.run_folders()}

    assert [recorded.code, *(replay.code for replay in replays)] == [0, 0, 0], recorded.err
    assert {first} == contents
    assert "0 paid, 120 from the cassette, 0 failed" in replays[0].err


def test_two_recordings_differ_in_volatile_columns_only(project: Project, server: FaultServer, tmp_path: Path) -> None:
    """Against a deterministic server two recordings share the content digest and all but times and request ids."""
    project.write_samples(commits(20))
    other = Project(tmp_path / "other", server.base_url)
    other.write_samples(commits(20))

    project.exp("--concurrency", "1")
    other.exp("--concurrency", "20")

    frames = [pl.read_parquet(each.rows_file()) for each in (project, other)]
    assert digest(project) == digest(other)
    assert frame_digest(frames[0], without=VOLATILE_COLUMNS) == frame_digest(frames[1], without=VOLATILE_COLUMNS)
    assert frames[0]["llmbatch_recorded_at"].to_list() != frames[1]["llmbatch_recorded_at"].to_list()


def test_a_sample_then_the_whole_then_a_row_on_top_ask_each_question_once(
    project: Project, server: FaultServer
) -> None:
    """Nothing outside a case enters its keys, so growing the data pays for what is new and no more."""
    project.write_samples(commits(40))
    project.exp("--sample", "10", "--seed", "7")
    after_sample = server.truth()["calls"]
    project.exp()
    project.write_samples([{"id": "new", "message": "a new first row", "label": "adaptive"}, *commits(40)])
    finished = project.exp()

    truth = server.truth()
    assert (after_sample, truth["calls"], truth["answered"]) == (20, 82, 82)
    assert {1} == set(truth["per_key"].values())
    assert "2 paid, 80 from the cassette" in finished.err


def test_editing_a_prompt_asks_again_only_what_changed(project: Project, server: FaultServer) -> None:
    """The key is what is on the wire, so a prompt of another task stays recorded."""
    project.write_experiment(
        project_text := """
from llmbatch import Ask, parametrize, task

@task(samples="data/commits.jsonl", truth="label", id="id")
@parametrize("model", ["service/model-a"])
@parametrize("prompt", ["one.md", "two.md"])
async def classify(sample, ask: Ask, prompt: str):
    return await ask(prompt, sample)
"""
    )
    project.write_samples(commits(5))
    project.write_prompt("One: {message}", "one.md")
    project.write_prompt("Two: {message}", "two.md")
    project.exp()
    project.write_prompt("Two, edited: {message}", "two.md")
    edited = project.exp()
    project.write_experiment(project_text.replace("return await ask(prompt, sample)", PARSER_EDITED))
    parsed = project.exp()

    assert server.truth()["calls"] == 15
    assert "5 paid, 5 from the cassette" in edited.err
    assert "0 paid, 10 from the cassette" in parsed.err


PARSER_EDITED = "return {'length': len((await ask(prompt, sample)).value)}"


def test_repeats_at_a_temperature_are_draws_of_their_own_and_replay_to_their_own_rows(
    project: Project, server: FaultServer
) -> None:
    """Three repeats are three answers, and each goes back to its own row whatever the concurrency."""
    project.write_experiment(
        """
from llmbatch import Ask, parametrize, task

@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/model-a"])
async def say(sample, ask: Ask):
    return await ask("Say: {message}", sample, temperature=1.0)
"""
    )
    project.write_samples(commits(12))
    project.exp("--repeat", "3", "--concurrency", "8")
    recorded = project.rows()
    server.stop()
    project.exp("--repeat", "3", "--concurrency", "1", "--offline")
    replayed = project.rows()

    assert recorded.equals(replayed)
    assert recorded.group_by("id", maintain_order=True).agg(pl.col("answer").n_unique())["answer"].to_list() == [3] * 12
    assert {1.0} == set(recorded["llmbatch_parameters"].str.json_path_match("$.top_p").cast(pl.Float64))


SEVERAL_ASKS = """
import asyncio
from llmbatch import Ask, parametrize, task

@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/model-a"])
@parametrize("style", ["sequence", "gather", "group"])
async def several(sample, ask: Ask, style: str):
    def put():
        return ask("Say: {message}", sample, temperature=1.0)
    if style == "sequence":
        answers = [await put(), await put(), await put()]
    elif style == "gather":
        answers = await asyncio.gather(put(), put(), put())
    else:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(put()) for _ in range(3)]
        answers = [task.result() for task in tasks]
    return {f"draw{number}": answer.value for number, answer in enumerate(answers)}
"""


def test_several_equal_asks_of_a_case_replay_each_to_its_own_place(project: Project, server: FaultServer) -> None:
    """Draws are counted where ask(...) is called, so sequence, gather and TaskGroup number them alike."""
    project.write_experiment(SEVERAL_ASKS)
    project.write_samples(commits(6))
    finished = project.exp("--concurrency", "6")
    recorded = project.rows()
    server.stop()
    replayed = project.exp("--offline", "--concurrency", "2")

    styles = [recorded.filter(pl.col("llmbatch_style") == style) for style in ("sequence", "gather", "group")]
    draws = [frame.select("draw0", "draw1", "draw2") for frame in styles]
    assert (finished.code, replayed.code) == (0, 0), finished.err
    assert recorded.equals(project.rows())
    assert draws[0].equals(draws[1])
    assert draws[0].equals(draws[2])
    assert draws[0].transpose().n_unique() == 3


def test_equal_asks_of_two_branches_are_an_error_that_names_draw(project: Project) -> None:
    """Nothing but timing would tell such draws apart, and a replay has another timing."""
    project.write_experiment(
        """
import asyncio
from llmbatch import Ask, parametrize, task

@task(samples="data/commits.jsonl", id="id")
@parametrize("model", ["service/model-a"])
@parametrize("given", [False, True])
async def branches(sample, ask: Ask, given: bool):
    async def branch(number):
        options = {"draw": number} if given else {}
        return (await ask("Say: {message}", sample, temperature=1.0, **options)).value
    one, two = await asyncio.gather(branch(0), branch(1))
    return {"one": one, "two": two}
"""
    )
    project.write_samples(commits(2))
    finished = project.exp()
    rows = project.rows()

    assert finished.code == 1
    assert rows["llmbatch_status"].to_list() == ["task_error"] * 2 + ["ok"] * 2
    assert all("draw=" in text for text in rows["llmbatch_error"][:2])


def test_stock_vcrpy_replays_a_segment_to_a_plain_openai_client(project: Project, server: FaultServer) -> None:
    """A segment is a cassette that anybody's vcrpy can read, without llmbatch."""
    project.write_samples(commits(3))
    project.exp()
    server.stop()
    segment = project.cassette / "segment-00001.yaml"
    with Store(project.cassette) as store:
        interactions = list(store)

    def ask_again(body: bytes) -> str:
        client = openai.OpenAI(api_key="none", base_url=server.base_url, max_retries=0)
        with client:
            reply: Any = client.post("/chat/completions", cast_to=object, content=body)
        return str(reply["choices"][0]["message"]["content"])

    with vcr.VCR().use_cassette(str(segment), record_mode="none", match_on=["method", "uri", "body"]):
        replayed = [ask_again(each.call.request.body or b"") for each in interactions]

    contents = [each.reply.body for each in interactions]
    assert len(replayed) == 6
    assert all(text.encode() in body.replace(b'\\"', b'"') for text, body in zip(replayed, contents, strict=True))


async def test_run_works_under_a_running_loop_and_arun_is_the_same(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a notebook's cell, where a loop runs already."""
    monkeypatch.delenv("CI", raising=False)
    project.write_samples(commits(6))
    target = project.root / "experiments" / "study.py"

    recorded = llmbatch.run(target)
    replayed = await llmbatch.arun(target, record_mode="none")
    alone = await asyncio.to_thread(llmbatch.run, target, record_mode="none", limit=2)

    assert (recorded.paid, replayed.paid, alone.paid) == (12, 0, 0)
    assert recorded.rows.equals(replayed.rows)
    assert alone.rows.height == 4
    assert replayed.metric("accuracy", model="service/model-a").n == 6
