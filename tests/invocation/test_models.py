"""Offline, a cassette knows what the names of an experiment mean, though no configuration says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmbatch.call.values import Reply
from llmbatch.cassette.segment import Metadata, header_bytes
from llmbatch.cassette.store import Store
from llmbatch.config import Config, Endpoint, ModelSettings
from llmbatch.errors import ConfigError
from llmbatch.invocation.models import Models
from tests.support.fault_server import FaultServer
from tests.support.project import Project, commits

URL = "http://127.0.0.1:8000/v1"


def configured(**models: str) -> Config:
    settings = {alias: ModelSettings(name) for alias, name in models.items()}
    return Config(Path(), endpoints={"local": Endpoint("local", URL, models=settings)})


def record(folder: Path, **models: str) -> None:
    """Record one answer under metadata with these aliases."""
    named = {f"local/{alias}": name for alias, name in models.items()}
    metadata = Metadata(endpoints={"local": URL}, models=named)
    with Store(folder, record_mode="new_episodes", metadata=metadata) as store:
        store.record(store.call(store.request("POST", URL, {}, str(models).encode()), 0, 0), Reply(200, "OK", {}, b""))


def wire_name(folder: Path, config: Config, text: str = "local/qwen", *, offline: bool = True) -> str:
    with Store(folder) as store:
        models = Models(config, store.recorded_base_url, store.recorded_model_name, offline=offline)
        model = models.resolve(text)
        assert (text, URL) == (model.text, model.base_url)
        return model.name


def test_an_alias_that_is_not_configured_is_resolved_from_the_cassette(tmp_path: Path) -> None:
    """With the endpoint configured or not: the reader of a paper has the cassette, and not its configuration."""
    record(tmp_path, qwen="Qwen/Qwen2.5-Coder-1.5B")

    assert "Qwen/Qwen2.5-Coder-1.5B" == wire_name(tmp_path, Config(Path()))
    assert "Qwen/Qwen2.5-Coder-1.5B" == wire_name(tmp_path, configured())
    assert "Qwen/Qwen2.5-Coder-1.5B" == wire_name(tmp_path, Config(Path()), offline=False)
    assert "other" == wire_name(tmp_path, configured(), "local/other")


def test_what_is_configured_stands_over_what_was_recorded(tmp_path: Path) -> None:
    """And where a run may call, a name that is not configured is the service's own."""
    record(tmp_path, qwen="recorded")

    assert "configured" == wire_name(tmp_path, configured(qwen="configured"))
    assert "qwen" == wire_name(tmp_path, configured(qwen="qwen"))
    assert "qwen" == wire_name(tmp_path, configured(), offline=False)


def test_segments_that_disagree_are_listed_unless_one_is_configured(tmp_path: Path) -> None:
    """Never the last one by chance."""
    record(tmp_path, qwen="one")
    record(tmp_path, qwen="two")

    with pytest.raises(ConfigError, match="2 names") as raised:
        wire_name(tmp_path, configured())
    assert "one\ntwo" == raised.value.details["recorded"]
    assert "one" == wire_name(tmp_path, configured(qwen="one"))


def test_metadata_without_aliases_have_the_bytes_they_had() -> None:
    """An older cassette goes on in its last segment."""
    assert b'"models"' not in header_bytes(Metadata(endpoints={"local": URL}))
    assert header_bytes(Metadata(models={"b/x": "1", "a/x": "2"})) == header_bytes(
        Metadata(models={"a/x": "2", "b/x": "1"})
    )


@pytest.mark.system
def test_a_shared_cassette_replays_an_alias_without_the_configuration(project: Project, server: FaultServer) -> None:
    """Recorded with an alias, replayed where llmbatch.toml says nothing of endpoints: the same rows."""
    toml = project.root / "llmbatch.toml"
    settings = toml.read_text(encoding="utf-8")
    toml.write_text(f'{settings}models.model-a = {{ name = "wire-name" }}\n', encoding="utf-8")
    project.write_samples(commits(2))
    recorded = project.exp()
    first = project.rows_file().read_bytes()
    calls = server.truth()["calls"]
    toml.write_text("", encoding="utf-8")
    replayed = project.exp("--offline")

    assert (0, 0) == (recorded.code, replayed.code), replayed.err
    assert b'"models":{"service/model-a":"wire-name"}' in (project.cassette / "segment-00001.yaml").read_bytes()
    assert b'\\"model\\":\\"wire-name\\"' in (project.cassette / "segment-00001.yaml").read_bytes()
    assert first == project.rows_file().read_bytes()
    assert calls == server.truth()["calls"]
