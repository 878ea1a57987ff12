"""The real command line against a scripted service of each dialect: mode, answers, failures and columns of the rows."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from llmbatch.cli import main
from llmbatch.config import StructuredMode
from tests.dialects.conftest import MakeStudy
from tests.support.dialects import DIALECTS, KEY, AzureDeployment, AzureV1, DeepSeek, Dialect, OpenAI, Service, serving

pytestmark = pytest.mark.system

LABELS = {"corrective", "adaptive", "perfective"}
NAMES = [each.name for each in DIALECTS]


@pytest.mark.parametrize("dialect", DIALECTS, ids=NAMES)
def test_each_scene_of_a_dialect_gives_the_row_that_it_means(dialect: type[Dialect], study: MakeStudy) -> None:
    """Asked in the service's best mode, and replayed offline to the same rows."""
    scenes = dialect().scenes()
    with serving(dialect()) as service:
        made = study(service, list(scenes), dialect.mode)
        made.run()
    recorded, rows = made.rows(), made.by_scene()

    assert "ok" == rows["first good"]["llmbatch_status"], rows["first good"]["llmbatch_error"]
    expected = {name: scene.status for name, scene in scenes.items()}
    assert expected == {name: rows[name]["llmbatch_status"] for name in scenes}
    for name, scene in scenes.items():
        row = rows[name]
        assert scene.error in (row["llmbatch_error"] or ""), (name, row["llmbatch_error"])
        assert dict(scene.columns) == {column: row[column] for column in scene.columns}, name
        assert (dialect.mode, scene.status == "ok") == (row["llmbatch_mode"], row["category"] in LABELS), name
    made.run("--offline")
    assert recorded.equals(made.rows())


def test_the_command_is_the_same_in_a_process_of_its_own(study: MakeStudy) -> None:
    """Nothing of the tests' process helps it along."""
    with serving(AzureDeployment()) as service:
        made = study(service, ["good", "prompt blocked"], "json_schema")
        finished = made.exp()

    statuses = made.rows()["llmbatch_status"].to_list()
    assert ["ok", "ok", "content_filter"] == statuses, finished.err
    assert KEY not in finished.out + finished.err


@pytest.mark.parametrize("dialect", DIALECTS, ids=NAMES)
@pytest.mark.parametrize("mode", get_args(StructuredMode))
def test_a_mode_that_is_configured_is_the_one_that_is_asked_in(
    dialect: type[Dialect], mode: StructuredMode, study: MakeStudy
) -> None:
    """Every mode brings the same shape, but where the service refuses it, or passes over what the model is not told."""
    heard_of = dialect.honours | dialect.tells
    expected = "bad_request" if mode in dialect.refuses else "ok" if mode in heard_of else "parse_error"
    with serving(dialect(), mode) as service:
        made = study(service, [], mode)
        made.run()

    (row,) = made.by_scene().values()
    assert (expected, mode) == (row["llmbatch_status"], row["llmbatch_mode"]), row["llmbatch_error"]
    assert (expected == "ok") == (row["category"] in LABELS)


ENDINGS = [(dialect, name) for dialect in DIALECTS for name in dialect().endings()]


@pytest.mark.parametrize(("dialect", "name"), ENDINGS)
def test_what_no_further_question_can_change_ends_the_run(
    dialect: type[Dialect], name: str, study: MakeStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the service's words, and nothing of it kept as an answer."""
    ending = dialect().endings()[name]
    with serving(dialect()) as service:
        made = study(service, [name], dialect.mode)
        code = made.run()

    row = made.by_scene()[name]
    assert (6, ending.status) == (code, row["llmbatch_status"])
    assert ending.error in row["llmbatch_error"]
    assert ending.error in capsys.readouterr().err


def test_a_service_complains_of_the_wrong_mode_and_of_a_wrong_address(study: MakeStudy) -> None:
    """So that the tests above can fail."""
    with Service(DeepSeek()) as deepseek:
        study(deepseek, [], "json_schema").run()
    with Service(AzureV1()) as azure:
        made = study(azure, [], "json_schema")
        config = made.root / "llmbatch.toml"
        config.write_text(config.read_text().replace("key_header", "query.a = 'b' #"), encoding="utf-8")
        made.run("--record-mode", "all")

    assert ["[[first good]] is asked in mode json_schema in place of json_object"] == deepseek.complaints[:1]
    assert ["the query is {'a': 'b'}", "the key is in ['authorization'], or is another"] == azure.complaints


@pytest.mark.parametrize("dialect", [AzureDeployment, AzureV1, OpenAI])
def test_a_shared_cassette_replays_without_the_configuration_of_its_service(
    dialect: type[Dialect], study: MakeStudy
) -> None:
    """It keeps where the service was called: the query and the path of its models too."""
    with serving(dialect()) as service:
        made = study(service, [], dialect.mode)
        made.run()
    recorded = made.rows()
    config = made.root / "llmbatch.toml"
    config.write_text(config.read_text().partition("[")[0], encoding="utf-8")
    code = made.run("--offline")

    replayed = made.rows()
    assert (0, recorded["category"].to_list()) == (code, replayed["category"].to_list())


CLIENT = """
from typing import Any
from llmbatch import Model, task

@task(samples="data/commits.jsonl", id="id")
async def classify(sample: dict[str, Any], client: Any, model: Model) -> dict[str, Any]:
    said = await client.chat.completions.create(
        model=model.name, messages=[{"role": "user", "content": sample["message"]}], temperature=0.0
    )
    return {"said": said.choices[0].message.content, "base_url": model.base_url}
"""


@pytest.mark.parametrize("dialect", [AzureDeployment, AzureV1, OpenAI])
def test_client_reaches_a_service_as_ask_does(dialect: type[Dialect], study: MakeStudy) -> None:
    """The address, its query and the header of the key are those of the configuration; the SDK's own are not sent."""
    with serving(dialect(), "text") as service:
        made = study(service, [], None)
        made.write_experiment(CLIENT)
        made.write_samples([{"id": "a", "message": "a commit"}])
        made.run()
        heard = len(service.heard)
    (row,) = made.by_scene().values()
    made.run("--offline")

    assert ("ok", 1) == (row["llmbatch_status"], heard), row["llmbatch_error"]
    assert service.address + dialect().path() == f"{row['base_url']}/chat/completions"
    (replayed,) = made.by_scene().values()
    assert row["said"] == replayed["said"]


@pytest.mark.parametrize("dialect", [AzureDeployment, AzureV1])
def test_doctor_finds_its_way(
    dialect: type[Dialect], study: MakeStudy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """To the list of models and to the model itself."""
    with serving(dialect()) as service:
        made = study(service, [], None)
        monkeypatch.chdir(made.root)
        code = main(["doctor", f"service/{dialect.model}", "--call"])
    said = capsys.readouterr().out

    assert 0 == code, said
    assert f"{dialect.model} answered in" in said
    assert [KEY in said, Path("cassettes").exists()] == [False, False]
