"""What is known of a model after its first run, whatever is asked, configured, merged or pruned by then."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest

from llmbatch.cli import main
from tests.dialects.conftest import MakeStudy
from tests.dialects.study import EXPERIMENT
from tests.dialects.test_probed import events
from tests.dialects.test_probes_of_a_run import NoTools, probes
from tests.support.dialects import DeepSeek, OpenAIReasoning, Service, serving

pytestmark = pytest.mark.system


def test_a_probe_is_made_once_and_never_again(study: MakeStudy, capsys: pytest.CaptureFixture[str]) -> None:
    """Its replies are in the cassette: neither further samples nor refusals that are asked again ask it anew."""
    with serving(OpenAIReasoning()) as service:
        made = study(service, ["good", "bad parameter"], None)
        made.run()
        once, said = probes(service), capsys.readouterr().err
        made.write_samples(
            [{"id": scene, "message": f"[[{scene}]] a commit"} for scene in ("good", "bad parameter", "cut")]
        )
        made.run()
        made.run("--retry-errors")
        made.run("--last-failed")

    assert once == probes(service) >= 10
    assert (1, 0) == tuple(text.count("on what it can do") for text in (said, capsys.readouterr().err))
    assert said.index("on what it can do") < said.index("shapes are asked for by")
    asked = Counter(each.script for each in service.questions)
    assert {"first good": 1, "good": 1, "bad parameter": 2, "cut": 1} == asked


def test_a_cassette_without_a_probe_goes_on_as_it_was_begun(study: MakeStudy) -> None:
    """A probe moves no key: what was recorded before there was one is replayed, and new samples are asked alike."""
    with serving(DeepSeek()) as service:
        made = study(service, ["good"], "json_object")
        made.run()
        made = study(service, ["good", "cut"], None)
        settings = made.root / "llmbatch.toml"
        settings.write_text(settings.read_text() + 'probe = true\nstructured = "json_object"\n', encoding="utf-8")
        made.run()

    assert (0, 3) == (probes(service), len(service.questions))


def test_a_dry_run_counts_the_probe_and_pruning_keeps_it(study: MakeStudy, capsys: pytest.CaptureFixture[str]) -> None:
    """And a probe is no answer of a case: `why` is silent of it, and a merge takes it along."""
    with serving(DeepSeek()) as service:
        made = study(service, ["good"], None)
        made.run("--dry-run")
        dry = capsys.readouterr().out
        made.run()
        made.run("--dry-run")
        done = capsys.readouterr().out
    experiment, cassette = str(made.root / "experiments" / "study.py"), made.cassette
    merged = made.root / "merged"
    assert 0 == main(["cassette", "prune", experiment, "--apply"])
    pruned = capsys.readouterr().out
    assert 0 == main(["cassette", "merge", str(cassette), "--into", str(merged)])
    shutil.rmtree(cassette)
    merged.rename(cassette)

    assert "13 calls would be made" in dry
    assert "probe service/model-1  11 calls" in dry
    assert "all 2 cases are answered, nothing to pay" in done
    assert "no longer         0 interactions" in pruned
    assert 0 == made.run("--offline")
    assert "recorded" == events(made, "capabilities")[0]["origin"]
    assert 0 == main(["cassette", "why", experiment])


def test_two_names_of_one_model_with_different_parameters_are_two_probes(study: MakeStudy) -> None:
    """What the configuration adds may decide which machine answers; what is known of one is not said of the other."""
    with serving(DeepSeek()) as service:
        made = study(service, ["good"], None)
        settings = made.root / "llmbatch.toml"
        name = service.dialect.model
        more = f'models.a = {{ name = "{name}" }}\nmodels.b = {{ name = "{name}", defaults = {{ user = "b" }} }}\n'
        settings.write_text(settings.read_text() + more, encoding="utf-8")
        made.run("--model", "service/a", "--model", "service/b")
    rows = made.rows()

    assert (["ok"] * 4, 22) == (rows["llmbatch_status"].to_list(), probes(service))
    assert 0 == made.run("--offline", "--model", "service/a", "--model", "service/b")
    assert rows.equals(made.rows())


def test_a_new_generation_is_probed_anew(study: MakeStudy) -> None:
    """In mode `all` everything is asked again, and the facts that its replay finds are those of its own probe."""
    with serving(DeepSeek()) as service:
        made = study(service, ["good"], None)
        made.run()
        once = len(service.heard)
        made.run("--record-mode", "all")
    rows = made.rows()

    assert 2 * once == len(service.heard)
    assert 0 == made.run("--offline")
    assert rows.equals(made.rows())


def test_a_mode_that_is_set_later_to_what_was_found_changes_nothing(study: MakeStudy) -> None:
    """What is recorded of a model's parameters goes on to count: its answers are found, and nothing is asked."""
    with serving(OpenAIReasoning()) as service:
        made = study(service, ["good"], None)
        made.run()
        once, rows = len(service.heard), made.rows()
        settings = made.root / "llmbatch.toml"
        settings.write_text(settings.read_text() + 'structured = "json_schema"\n', encoding="utf-8")
        made.run()

    assert once == len(service.heard)
    assert rows.equals(made.rows())


ADDED = 'defaults = { user = "b", provider = { order = ["é", "b"] } }\n'


@pytest.mark.parametrize("settings", [("", ADDED), (ADDED, ""), (ADDED, 'defaults = { user = "c" }\n')])
def test_a_model_that_is_configured_otherwise_later_is_probed_as_it_is_asked_then(
    settings: tuple[str, str], study: MakeStudy
) -> None:
    """Else nothing were known of it, and it were asked in a mode that the service refuses."""
    first, then = settings
    with serving(DeepSeek()) as service:
        made = study(service, ["good"], None)
        path = made.root / "llmbatch.toml"
        plain = path.read_text(encoding="utf-8")
        probed = []
        for added in (first, then, first, then):
            path.write_text(plain + added, encoding="utf-8")
            assert 0 == made.run()
            probed.append(probes(service))

    once = probed[0]
    assert [once, 2 * once, 2 * once, 2 * once] == probed
    assert {"json_object"} == set(made.rows()["llmbatch_mode"])


def test_a_model_of_which_each_ask_sets_what_the_configuration_adds_is_not_probed_again(study: MakeStudy) -> None:
    """Its answers do not show what is configured; nor does a service that fails at one question ever finish a probe."""
    with Service(NoTools()) as service:
        made = study(service, ["good"], None)
        settings = made.root / "llmbatch.toml"
        settings.write_text(settings.read_text() + 'defaults = { user = "b" }\n', encoding="utf-8")
        made.write_experiment(EXPERIMENT.replace("sample)\n", 'sample, extra_body={"user": "c"})\n'))
        made.run()
        once = probes(service)
        made.write_samples([{"id": each, "message": f"[[{each}]] a commit"} for each in ("first good", "good", "more")])
        made.run()

    assert 10 <= once == probes(service)
    assert ["c"] * 3 == [each.body["user"] for each in service.questions]
