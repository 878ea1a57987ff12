"""From `endpoint/model` as an author writes it to a model that can be asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmbatch.config import Config, Endpoint, ModelSettings, Secret, resolve_model
from llmbatch.errors import ConfigError

LOCAL = Endpoint(
    "local",
    "http://h/v1",
    headers={"x-team": "a"},
    structured="text",
    defaults={"seed": 1, "max_tokens": 10},
    models={"qwen": ModelSettings("qwen2.5-coder", structured="json_schema", defaults={"max_tokens": 20})},
)
CONFIG = Config(
    Path(),
    endpoints={"local": LOCAL, "openai": Endpoint("openai", "https://o/v1", "OPENAI_API_KEY")},
    keys={},
)


def test_an_alias_gives_its_own_name_settings_and_defaults() -> None:
    """The model's settings come before the endpoint's."""
    model = resolve_model(CONFIG, "local/qwen")

    assert (model.text, model.name, model.structured) == ("local/qwen", "qwen2.5-coder", "json_schema")
    assert model.defaults == {"seed": 1, "max_tokens": 20}
    assert model.chat_url == "http://h/v1/chat/completions"
    assert model.key_headers == {"content-type": "application/json", "x-team": "a"}
    assert model.wire_headers() == model.key_headers


def test_a_name_that_is_no_alias_goes_over_the_wire_as_it_is() -> None:
    """Slashes after the first belong to the model."""
    assert resolve_model(CONFIG, "local/meta/llama-3:8b").name == "meta/llama-3:8b"
    assert resolve_model(CONFIG, "local/other").structured == "text"


def test_a_bare_name_is_openais() -> None:
    """As in the SDK's own examples."""
    model = resolve_model(CONFIG, "gpt-4o-mini")

    assert (model.endpoint.name, model.name) == ("openai", "gpt-4o-mini")


def test_a_model_can_be_called_when_its_endpoint_has_the_key_it_declares() -> None:
    """An endpoint that declares none needs none."""
    with_key = Config(Path(), endpoints=CONFIG.endpoints, keys={"openai": Secret("k")})

    assert resolve_model(CONFIG, "local/qwen").can_call
    assert not resolve_model(CONFIG, "openai/x").can_call
    assert resolve_model(with_key, "openai/x").can_call


AZURE = Endpoint(
    "azure",
    "https://r/openai",
    "AZURE_KEY",
    key_header="api-key",
    query={"api-version": "2024-10-21", "x": "a b"},
    model_path="deployments/{model}",
    models={"mini": ModelSettings("my mini")},
)


def test_a_service_may_have_its_key_in_another_header_a_query_and_a_path_for_each_model() -> None:
    """As Azure does: the model's name is part of the address."""
    config = Config(Path(), endpoints={"azure": AZURE}, keys={"azure": Secret("k")})
    model = resolve_model(config, "azure/mini")

    assert "https://r/openai/deployments/my%20mini" == model.base_url
    assert f"{model.base_url}/chat/completions?api-version=2024-10-21&x=a+b" == model.chat_url
    assert {"content-type": "application/json", "api-key": "k"} == model.wire_headers()
    assert {"content-type": "application/json"} == model.key_headers


def test_an_unknown_endpoint_is_an_error_with_the_nearest() -> None:
    """A typing mistake must not become a model of another service."""
    with pytest.raises(ConfigError, match="no endpoint is named `lokal`") as caught:
        resolve_model(CONFIG, "lokal/qwen")

    assert caught.value.details["endpoints"] == "local, openai"
    assert 'write "local/qwen"' in caught.value.details["fix"]


@pytest.mark.parametrize("text", ["", "local/", "/x", " "])
def test_an_empty_part_names_no_model(text: str) -> None:
    """Neither part can be guessed."""
    with pytest.raises(ConfigError, match="names no model"):
        resolve_model(CONFIG, text)


def test_an_endpoint_only_the_cassette_knows_can_be_replayed_and_not_called() -> None:
    """Another's cassette replays without their configuration."""
    model = resolve_model(CONFIG, "theirs/m", lambda name: f"http://{name}/v1")

    assert model.chat_url == "http://theirs/v1/chat/completions"
    assert not model.can_call
