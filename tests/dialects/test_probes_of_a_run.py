"""When a model is probed and when it is not, and what becomes of its probe: over the real command line."""

from __future__ import annotations

import shutil
from pathlib import Path
from threading import Event
from typing import Any

import pytest

import llmbatch
from tests.dialects.conftest import MakeStudy
from tests.dialects.test_probed import events
from tests.support.dialects import VLLM, DeepSeek, Heard, OpenAIReasoning, Said, Service, serving
from tests.support.project import Project
from tests.support.scripted import ScriptedModel, said
from tests.support.waiting import until

pytestmark = pytest.mark.system

JUDGED = """
import asyncio
from typing import Any, Literal
from llmbatch import Ask, task

Label = Literal["corrective", "adaptive", "perfective"]

@task(samples="data/commits.jsonl", id="id")
async def classify(sample: dict[str, Any], ask: Ask) -> dict[str, Any]:
    first = await ask(Label, "classify.md", sample)
    question = "Judge {message} " + first.value
BRANCHES
    return {"first": first.value, "verdict": verdict.value, "again": again.value}
"""


BRANCHES = {
    "group": """    async with asyncio.TaskGroup() as group:
        one = group.create_task(ask(Label, question, sample, model="judge/JUDGE"))
        two = group.create_task(ask(Label, question, sample, model="judge/JUDGE", draw=1))
    verdict, again = one.result(), two.result()""",
    "gather": """    verdict, again = await asyncio.gather(
        ask(Label, question, sample, model="judge/JUDGE"),
        ask(Label, question, sample, model="judge/JUDGE", draw=1),
        return_exceptions=True,
    )""",
    "caught": """    verdict = again = first
    try:
        verdict = await ask(Label, question, sample, model="judge/JUDGE")
        again = await ask(Label, question, sample, model="judge/JUDGE", draw=1)
    except BaseException:
        pass""",
}
"""Ways in which a task may come upon a model, some of which let nothing out that ends it."""


ITSELF = """
from typing import Any, Literal
from llmbatch import Ask, task

@task(samples="data/commits.jsonl", id="id")
async def classify(sample: dict[str, Any], ask: Ask, client: Any, model: str) -> dict[str, Any]:
    asked = [{"role": "user", "content": "Think about " + sample["message"]}]
    await client.chat.completions.create(model=model.partition("/")[2], messages=asked)
    verdict = await ask(Literal["corrective", "adaptive", "perfective"], "classify.md", sample)
    return {"verdict": verdict.value}
"""


class Down(VLLM):
    """Fails at what is asked by a probe, and answers all else: `down` are the modes that it is down for."""

    down: frozenset[str] = frozenset({"json_schema", "json_object", "tool", "text"})

    def answer(self, heard: Heard) -> Said:
        if heard.script is None and heard.mode in self.down:
            return self.error(503, "overloaded")
        return super().answer(heard)


class Held(VLLM):
    """Answers the first question of all, and the others when it is released."""

    def __init__(self) -> None:
        self.release = Event()
        self.is_first = True

    def answer(self, heard: Heard) -> Said:
        if not self.is_first:
            self.release.wait(30)
        self.is_first = False
        return super().answer(heard)


class DownForAll(Down):
    """Fails at functions in the probe, and at all questions, while it is down."""

    down = frozenset({"tool"})
    is_down = True

    def answer(self, heard: Heard) -> Said:
        return self.error(503, "overloaded") if heard.script is not None and self.is_down else super().answer(heard)


class DownForSchemas(DeepSeek):
    """Fails at strict schemas in the probe, and refuses them of a question."""

    def answer(self, heard: Heard) -> Said:
        return (
            self.error(500, "oops") if heard.script is None and heard.mode == "json_schema" else super().answer(heard)
        )


class NoTools(VLLM):
    """A gateway that finds nobody for a question with tools."""

    def answer(self, heard: Heard) -> Said:
        if heard.mode == "tool":
            return self.error(404, "No endpoints found that support tool use.")
        return super().answer(heard)


def probes(service: Service) -> int:
    """Return how many questions of a probe came."""
    return len(service.heard) - len(service.questions)


@pytest.mark.parametrize("branches", BRANCHES.values(), ids=BRANCHES)
def test_a_model_that_is_first_asked_in_mid_run_is_probed_before_its_question(branches: str, study: MakeStudy) -> None:
    """The case is run again from its start; its other answers are not asked again, and a replay makes the same row."""
    with serving(DeepSeek()) as service, serving(VLLM()) as judge:
        made = study(service, ["good", "more"], None)
        settings = made.root / "llmbatch.toml"
        text = judge.dialect.configuration(judge.address, None).replace("endpoints.service", "endpoints.judge")
        settings.write_text(settings.read_text() + text, encoding="utf-8")
        made.write_experiment(JUDGED.replace("BRANCHES", branches).replace("JUDGE", judge.dialect.model))
        code = made.run()
    rows = made.rows()

    assert (0, ["ok"] * 3) == (code, rows["llmbatch_status"].to_list()), rows["llmbatch_error"].to_list()
    assert (3, 6) == (len(service.questions), len(judge.questions))
    assert {"service": "json_object", "judge": "json_schema"} == {
        event["endpoint"]: event["mode"] for event in events(made, "capabilities")
    }
    assert 0 == made.run("--offline")
    assert rows.equals(made.rows())


def test_an_outage_during_the_probe_decides_nothing(study: MakeStudy) -> None:
    """The strict schema holds, with all parameters; and since answers are recorded now, no later run moves them."""
    dialect = Down()
    with serving(dialect, "json_schema") as service:
        made = study(service, ["good"], None)
        assert 0 == made.run()
        asked = len(service.heard)
        dialect.down = frozenset()
        assert 0 == made.run()

    assert asked == len(service.heard)
    assert [] == [event for event in events(made, "capabilities") if event["json_schema"] != "unknown"]


def test_what_is_declared_holds_for_the_one_mode_that_could_not_be_asked_for(study: MakeStudy) -> None:
    """Of a service that is known, here by its name: it is declared to take JSON mode."""
    with serving(DownForSchemas()) as service:
        made = study(service, ["good"], None)
        settings = made.root / "llmbatch.toml"
        settings.write_text(settings.read_text().replace("service", "deepseek"), encoding="utf-8")
        made.run()

    assert {"json_object"} == set(made.rows()["llmbatch_mode"])
    assert "unknown" == events(made, "capabilities")[0]["json_schema"]


def test_a_question_for_which_nobody_is_found_does_not_end_the_run(study: MakeStudy) -> None:
    """A 404 to a question with tools, of a service that has answered others, is not a model that does not exist."""
    with serving(NoTools()) as service:
        made = study(service, ["good"], None)
        code = made.run()

    assert (0, "unknown") == (code, events(made, "capabilities")[0]["tools"])


def test_a_model_whose_mode_is_set_is_probed_only_if_that_is_said(study: MakeStudy) -> None:
    """Then what it refuses is left out, and the mode stays as it is set; `probe = false` asks nothing."""
    counted = []
    for more in ("probe = false\n", "", "probe = true\n"):
        with Service(OpenAIReasoning(), "text") as service:
            made = study(service, [], "text")
            settings = made.root / "llmbatch.toml"
            settings.write_text(settings.read_text() + more, encoding="utf-8")
            shutil.rmtree(made.cassette, ignore_errors=True)
            made.run()
        counted.append(probes(service))

    assert ([0, 0], True) == (counted[:2], counted[2] >= 10)
    assert [] == [said for said in service.complaints if "first good" in said]
    assert {"text"} == set(made.rows()["llmbatch_mode"])


def test_what_a_probe_could_not_find_out_is_asked_again_while_nothing_is_recorded(study: MakeStudy) -> None:
    """And nothing that it did find out: those replies are in the cassette."""
    dialect = DownForAll()
    with serving(dialect) as service:
        made = study(service, ["good"], None)
        assert 1 == made.run()
        before = len(service.heard)
        dialect.down, dialect.is_down = frozenset(), False
        assert 0 == made.run()
        again = [each for each in service.heard[before:] if each.script is None]

    assert ["tool"] == [each.mode for each in again]
    assert "yes" == events(made, "capabilities")[0]["tools"]


def test_a_second_process_asks_as_the_first_has_found_out(study: MakeStudy) -> None:
    """It reads the recorded probe: else it would take the mode for a prompt that changes by itself."""
    with serving(DeepSeek()) as service:
        made = study(service, [], None)
        samples = [{"id": str(number), "message": f"[[good]] commit {number}"} for number in range(130)]
        made.write_samples(samples)
        code = made.run()

    assert (0, ["ok"] * 130) == (code, made.rows()["llmbatch_status"].to_list())
    assert [] == events(made, "unstable")


def test_a_probe_that_is_killed_goes_on_where_it_stopped(study: MakeStudy) -> None:
    """What was recorded of it is not asked again; a process that is killed has no time to say anything."""
    held = Held()
    with serving(held) as service:
        made = study(service, ["good"], None)
        with made.start() as process:
            until(lambda: len(service.heard) >= 5, process)
            process.kill()
            held.release.set()
        finished = made.exp()
        first = service.heard[0]

    assert 0 == finished.code, finished.err
    assert 1 == sum(each.body == first.body for each in service.heard)
    assert ["ok", "ok"] == made.rows()["llmbatch_status"].to_list()


def test_what_a_task_asks_by_itself_before_it_asks_is_no_answer_that_a_probe_comes_too_late_for(
    study: MakeStudy,
) -> None:
    """Its calls by `client` are recorded when it comes to its first `ask`, in whatever order cases get there."""
    with Service(DeepSeek()) as service:
        made = study(service, ["good"], None)
        made.write_experiment(ITSELF)
        code = made.run("--concurrency", "1")
    rows = made.rows()

    assert (0, ["ok", "ok"], {"json_object"}) == (code, rows["llmbatch_status"].to_list(), set(rows["llmbatch_mode"]))
    assert 0 == made.run("--offline")
    assert rows.equals(made.rows())


TWO_MODELS = """
from typing import Any, Literal
from llmbatch import Answer, Ask, task

@task(samples=[{"id": "c"}, {"id": "d"}], id="id")
async def classify(sample: dict[str, Any], ask: Ask) -> Answer[Literal["yes", "no"]]:
    first = await ask("first {id}", sample)
    return await ask(Literal["yes", "no"], "{id} " + first.value, sample, model="service/" + sample["id"])
"""


def test_a_case_waits_for_no_probe_that_began_after_its_own(tmp_path: Path) -> None:
    """The probe of one model is on its way when that of another begins, and ends before it."""
    is_probed = {"c": Event(), "d": Event()}
    c_is_asked = Event()

    def script(path: str, body: dict[str, Any]) -> Any:
        model, text = body["model"], str(body["messages"][-1]["content"])
        if text == "first d":
            is_probed["c"].wait(30)
        elif model == "c":
            is_probed["c"].set()
            is_probed["d"].wait(30)
            if text.startswith("c fine"):
                c_is_asked.set()
        elif model == "d":
            is_probed["d"].set()
            c_is_asked.wait(30)
        return said("fine" if model == "m" else '{"value": "yes"}')

    with ScriptedModel(script) as service:
        project = Project(tmp_path, service.base_url)
        project.write_experiment(TWO_MODELS)
        (tmp_path / "llmbatch.toml").write_text(
            f'model = "service/m"\n[endpoints.service]\nbase_url = "{service.base_url}"\nmodels.m.probe = false\n'
        )
        ran = llmbatch.run(tmp_path / "experiments" / "study.py", record_mode="new_episodes")

    assert c_is_asked.is_set()
    assert ["ok", "ok"] == ran.rows["llmbatch_status"].to_list()
