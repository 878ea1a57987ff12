"""A model that calls functions of the author's: the loop, its recording and its replay, against a scripted service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import llmbatch
from tests.support.project import Project
from tests.support.scripted import ScriptedModel, calling, said

pytestmark = pytest.mark.system

LOOP = """
import threading
from typing import Any
from pydantic import BaseModel
from llmbatch import Answer, Ask, task

class Total(BaseModel):
    total: int

def price(item: str, pieces: int) -> dict[str, Any]:
    \"\"\"Say what pieces of an item cost.\"\"\"
    if item == "ghost":
        raise KeyError(item)
    return {"item": item, "euro": pieces * 2, "main": threading.current_thread() is threading.main_thread()}

@task(samples=[{"id": "a", "order": "2 apples, 3 pears"}], id="id")
async def order(sample: dict[str, Any], ask: Ask) -> dict[str, Any]:
    async def stock(item: str) -> str:
        return f"{sample['id']} has {item}"

    answer = await ask(Total, "What costs {order}?", sample, tools=[price, stock])
    return {"total": answer.value.total, "roles": [turn["role"] for turn in answer.messages]}
"""


def total_of(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Call both functions, then one of them wrongly in four ways, then answer."""
    turns = [turn for turn in body["messages"] if turn["role"] == "assistant"]
    match len(turns):
        case 0:
            return calling(("price", {"item": "apple", "pieces": 2}), ("stock", {"item": "pear"}))
        case 1:
            return calling(
                ("price", {"item": "ghost", "pieces": 1}), ("price", {"item": "x"}), ("weigh", {}), ("price", "{")
            )
        case _:
            return said('{"total": 10}')


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "project"


def study(home: Path, model: ScriptedModel, text: str, mode: str = "json_schema") -> Project:
    made = Project(home, model.base_url)
    made.write_experiment(text)
    made.configure('model = "service/m"')
    settings = home / "llmbatch.toml"
    settings.write_text(settings.read_text("utf-8").replace('"json_schema"', f'"{mode}"'), encoding="utf-8")
    return made


def run(project: Project, mode: Any = "new_episodes", **options: Any) -> llmbatch.Run:
    return llmbatch.run(project.root / "experiments" / "study.py", record_mode=mode, **options)


def log_of(ran: llmbatch.Run) -> Iterator[dict[str, Any]]:
    return map(json.loads, (ran.path / "run.jsonl").read_text(encoding="utf-8").splitlines())


def test_functions_are_run_until_an_answer_comes_and_the_replay_runs_them_again(home: Path) -> None:
    """Results in the order of the calls; what is wrong is told to the model; a turn is one interaction."""
    with ScriptedModel(total_of) as model:
        project = study(home, model, LOOP)
        recorded = run(project)
        asked = model.bodies()
    replayed = run(project, "none")

    assert [["system", "user", *["assistant", "tool", "tool"], *["assistant", *["tool"] * 4], "assistant"]] == [
        row["roles"] for row in recorded.iter_rows()
    ]
    assert [
        '{"item":"apple","euro":4,"main":false}',
        "a has pear",
        "Error: KeyError: 'ghost'",
        "Error: pieces: missing",
        "Error: there is no function `weigh`; there are: price, stock",
        "Error: the arguments are not a JSON object",
    ] == [turn["content"] for turn in asked[-1]["messages"] if turn["role"] == "tool"]
    assert asked[0]["tools"] == asked[2]["tools"]
    assert ["price", "stock"] == [tool["function"]["name"] for tool in asked[0]["tools"]]
    first = recorded.rows.row(0, named=True)
    assert (10, 3, 30, 6) == tuple(
        first[name] for name in ("total", "llmbatch_asks", "llmbatch_tokens_in", "llmbatch_tokens_out")
    )
    assert (3, 0, 3) == (recorded.paid, replayed.paid, replayed.cached)
    assert recorded.rows.equals(replayed.rows)
    assert ["KeyError: 'ghost'"] == [event["error"] for event in log_of(replayed) if event["event"] == "tool_error"]


ENDLESS = """
from typing import Any
from llmbatch import Answer, Ask, task

def again() -> str:
    return "more"

@task(samples=[{"case": "endless"}, {"case": "cut"}, {"case": "draws"}], id="case")
async def loop(sample: dict[str, Any], ask: Ask) -> Answer[str]:
    if sample["case"] == "draws":
        await ask("{case}", sample, tools=[again], temperature=1.0)
    return await ask("{case}", sample, tools=[again], temperature=1.0)
"""


def endless(path: str, body: dict[str, Any]) -> dict[str, Any]:
    case, turns = body["messages"][1]["content"], len(body["messages"])
    if case == "cut":
        return said(None, finish="length", tool_calls=calling(("again", '{"wo'))["choices"][0]["message"]["tool_calls"])
    if case == "draws" and turns > 2:
        return said("done")
    return calling(("again", {}), reasoning_content="once more")


def test_a_model_that_does_not_stop_or_is_cut_off_has_no_answer(home: Path) -> None:
    """Both are results with a category; the turns of the second equal question are draw 1, as the question is."""
    with ScriptedModel(endless) as model:
        project = study(home, model, ENDLESS)
        recorded = run(project)
        bodies = model.bodies()
    replayed = run(project, "none")
    rows = {row["llmbatch_sample"]: row for row in recorded.iter_rows()}

    assert ["tool_calls", "truncated", "ok"] == [rows[case]["llmbatch_status"] for case in ("endless", "cut", "draws")]
    assert "the model called again, after 10 turns of calls, and gave no answer" == rows["endless"]["llmbatch_error"]
    assert "the answer was cut at max_tokens in a call of again" == rows["cut"]["llmbatch_error"]
    assert [11, 1, 4] == [rows[case]["llmbatch_asks"] for case in ("endless", "cut", "draws")]
    assert "once more" == bodies[-1]["messages"][2]["reasoning_content"]
    assert 0 == recorded.exit_code
    assert recorded.rows.equals(replayed.rows)


ALONE = """
from typing import Any, Literal
from llmbatch import Answer, Ask, task

def look(word: str) -> str:
    return word.upper()

@task(samples=[{"word": "a"}])
async def choose(sample: dict[str, Any], ask: Ask) -> Answer[Literal["yes", "no"]]:
    return await ask(Literal["yes", "no"], "{word}?", sample, tools=[look], reasks=1)
"""


def chosen(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Give the answer at once beside a call, then an answer that does not fit, then one that does."""
    match sum(turn["role"] == "assistant" for turn in body["messages"]):
        case 0:
            return calling(("look", {"word": "a"}), ("answer", {"value": "yes"}), ("answers", {"value": "yes"}))
        case 1:
            return calling(("answer", {"value": "maybe"}))
        case _:
            return calling(("answer", {"value": "no"}))


def test_in_tool_mode_the_answer_is_one_function_beside_the_others(home: Path) -> None:
    """It must call one; the answer counts when it stands alone, and is asked for again when it does not fit."""
    with ScriptedModel(chosen) as model:
        project = study(home, model, ALONE, "tool")
        recorded = run(project)
        asked = model.bodies()
    replayed = run(project, "none")

    assert ["look", "answer"] == [tool["function"]["name"] for tool in asked[0]["tools"]]
    assert "required" == asked[0]["tool_choice"]
    assert [
        "A",
        "Error: give the answer when you have what the other functions return, and alone",
        "Error: there is no function `answers`; there are: look, answer",
    ] == [turn["content"] for turn in asked[1]["messages"] if turn["role"] == "tool"]
    assert "is not one of yes, no" in asked[2]["messages"][-1]["content"]
    assert [("no", 3)] == [(row["answer"], row["llmbatch_asks"]) for row in recorded.iter_rows()]
    assert recorded.rows.equals(replayed.rows)


OUTSIDE = """
from typing import Any
import requests
from llmbatch import Answer, Ask, Model, task

@task(samples=[{"word": "a"}])
async def fetch(sample: dict[str, Any], ask: Ask, model: Model) -> Answer[str]:
    def look_up(word: str) -> str:
        reply = requests.post(model.base_url + "/words", json={"word": word}, timeout=30)
        reply.raise_for_status()
        return reply.json()["means"]

    return await ask("What is {word}?", sample, tools=[look_up])

def wrong(word) -> str:
    return word

@task(samples=[{"word": "a"}])
async def mistaken(sample: dict[str, Any], ask: Ask) -> Answer[str]:
    return await ask("What is {word}?", sample, tools=[wrong])

def opaque(word: str) -> object:
    return object()

def misspelt(word: str) -> str:
    return wrod

@task(samples=[{"word": "c"}])
async def broken(sample: dict[str, Any], ask: Ask) -> Answer[str]:
    return await ask("What is {word}?", sample, tools=[misspelt])

def bottomless(word: str) -> str:
    return bottomless(word)

@task(samples=[{"word": "d"}])
async def endless(sample: dict[str, Any], ask: Ask) -> Answer[str]:
    return await ask("What is {word}?", sample, tools=[bottomless])

@task(samples=[{"word": "b"}])
async def unsendable(sample: dict[str, Any], ask: Ask) -> Answer[str]:
    return await ask("What is {word}?", sample, tools=[opaque])
"""


def test_what_a_function_asks_over_http_is_recorded_and_its_service_is_no_matter_of_the_model(home: Path) -> None:
    """Twice the same call is two draws, whatever thread it is in; a reply that is no answer is told to no model."""
    down: list[int] = [404]

    def script(path: str, body: dict[str, Any]) -> Any:
        if path == "/v1/words":
            return down.pop() if down else {"means": "the first letter"}
        if sum(turn["role"] == "tool" for turn in body["messages"]) < 4:
            return calling(("look_up", {"word": "a"}), ("look_up", {"word": "a"}))
        return said("a letter")

    target = "::fetch"
    with ScriptedModel(script) as model:
        project = study(home, model, OUTSIDE)
        failed = llmbatch.run(f"{project.root}/experiments/study.py{target}", record_mode="new_episodes")
        words, asked = len(model.bodies("/v1/words")), len(model.bodies())
        recorded = llmbatch.run(f"{project.root}/experiments/study.py{target}", record_mode="new_episodes")
        again = len(model.bodies("/v1/words")), len(model.bodies())
    replayed = llmbatch.run(f"{project.root}/experiments/study.py{target}", record_mode="none")

    assert (["model_not_found"], 1, 1) == (failed.rows["llmbatch_status"].to_list(), words, asked)
    assert ["a letter"] == recorded.rows["answer"].to_list()
    assert (1 + 4, 1 + 2) == again
    assert recorded.rows.equals(replayed.rows)


def test_a_wrong_tool_stops_the_run_before_its_first_call(home: Path) -> None:
    """With the place of the function; one that returns what JSON cannot carry is the task's own error."""
    with ScriptedModel(lambda path, body: calling((body["tools"][0]["function"]["name"], {"word": "b"}))) as model:
        project = study(home, model, OUTSIDE)
        with pytest.raises(llmbatch.LlmbatchError) as raised:
            run(project)
        asked = len(model.asked)
        ran = llmbatch.run(f"{project.root}/experiments/study.py::unsendable", record_mode="new_episodes")
        mistaken = llmbatch.run(f"{project.root}/experiments/study.py::broken", record_mode="new_episodes")
        bottomless = llmbatch.run(f"{project.root}/experiments/study.py::endless", record_mode="new_episodes")

    assert 0 == asked
    assert "the parameter `word` of the tool wrong has no type" in str(raised.value)
    assert "study.py:" in str(raised.value)
    assert ["task_error"] == ran.rows["llmbatch_status"].to_list()
    assert "returned what JSON cannot carry" in ran.rows["llmbatch_error"][0]
    assert ["NameError: name 'wrod' is not defined"] == mistaken.rows["llmbatch_error"].to_list()
    assert bottomless.rows["llmbatch_error"][0].startswith("RecursionError")  # its words depend on the machine
    assert (1, 1) == (mistaken.paid, bottomless.paid)


STREAMED = """
from typing import Any
from llmbatch import Answer, Ask, task

def double(number: int) -> int:
    return 2 * number

@task(samples=[{"number": 21}])
async def doubles(sample: dict[str, Any], ask: Ask) -> Answer[str]:
    return await ask("Double {number}", sample, tools=[double], extra_body={"stream": True})
"""


def streamed(path: str, body: dict[str, Any]) -> bytes:
    """Give a call and then an answer, in pieces; the call without an id, as some services do."""
    if body["messages"][-1]["role"] == "tool":
        deltas: list[dict[str, Any]] = [{"content": "It is "}, {"content": body["messages"][-1]["content"]}]
    else:
        pieces: list[dict[str, Any]] = [{"name": "double", "arguments": '{"num'}, {"arguments": 'ber": 21}'}]
        deltas = [{"tool_calls": [{"index": 0, "function": piece}]} for piece in pieces]
    choices: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    return b"".join(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n" for choice in choices)


def test_calls_that_come_as_a_stream_are_calls(home: Path) -> None:
    """Joined before they are looked at; a call without an id gets one, the same in a replay."""
    with ScriptedModel(streamed) as model:
        project = study(home, model, STREAMED)
        recorded = run(project)
        turns = model.bodies()[-1]["messages"]
    replayed = run(project, "none")

    assert ["It is 42"] == recorded.rows["answer"].to_list()
    assert turns[-2]["tool_calls"][0]["id"] == turns[-1]["tool_call_id"] == "call_2_0"
    assert recorded.rows.equals(replayed.rows)
