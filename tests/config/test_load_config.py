"""Where settings come from, and that a mistake in them is named with its file, line and nearest name."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest

from llmbatch.cassette.scrub import _SECRET_PARAMETERS
from llmbatch.config import Config, Secret, load_config, resolve_model
from llmbatch.errors import ConfigError

KEY = "sk-test-0123456789abcdef"


def write(folder: Path, text: str, name: str = "llmbatch.toml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return folder


def load(folder: Path, text: str, environ: dict[str, str] | None = None) -> Config:
    return load_config(write(folder, text), environ or {})


def test_the_documented_file_gives_what_it_says(tmp_path: Path) -> None:
    """The example of the API page, field by field."""
    text = """
model = "local/qwen"
concurrency = 64
[endpoints.local]
base_url = "http://127.0.0.1:8080/v1/"
models.qwen = { name = "qwen2.5-coder-1.5b-instruct" }
[endpoints.openai]
rpm = 500
tpm = 200_000
models."gpt-4o-mini" = { usd_per_million_in = 0.15, usd_per_million_out = 0.60 }
[profiles.pilot]
limit = 50
budget_usd = 1.0
"""

    config = load(tmp_path, text)

    assert (config.root, config.source) == (tmp_path, tmp_path / "llmbatch.toml")
    assert (config.model, config.concurrency, config.max_retries) == ("local/qwen", 64, 5)
    assert config.endpoints["local"].base_url == "http://127.0.0.1:8080/v1"
    assert config.endpoints["local"].key_env is None
    assert (config.endpoints["openai"].rpm, config.endpoints["openai"].tpm) == (500, 200_000)
    assert config.endpoints["openai"].base_url == "https://api.openai.com/v1"
    assert config.endpoints["openai"].models["gpt-4o-mini"].usd_per_million_out == 0.60
    assert config.profiles["pilot"] == {"limit": 50, "budget_usd": 1.0}


def test_hosts_may_be_allowed_past_the_recorder(tmp_path: Path) -> None:
    """Names, patterns and addresses, with or without a port."""
    hosts = ("db.example", "db.example:5432", "*.internal", "10.0.0.7:80", "::1", "[::1]:6379")

    assert load(tmp_path, f"allow_hosts = {list(hosts)}").allow_hosts == hosts
    assert load(tmp_path, "").allow_hosts == ()


def test_the_nearest_folder_upwards_is_the_project_and_its_own_file_wins(tmp_path: Path) -> None:
    """llmbatch.toml wins over pyproject.toml in the same folder, a nearer folder over a farther one."""
    write(tmp_path, "concurrency = 1")
    nearer = write(tmp_path / "a", "[tool.llmbatch]\nconcurrency = 2", "pyproject.toml")
    deep = nearer / "experiments" / "x"
    deep.mkdir(parents=True)
    (deep / "x.py").touch()

    shared = load_config(deep / "x.py", {})
    write(nearer, "concurrency = 3")
    own = load_config(deep, {})

    assert (shared.root, shared.concurrency) == (nearer, 2)
    assert (own.root, own.concurrency, own.source) == (nearer, 3, nearer / "llmbatch.toml")


def test_a_pyproject_without_a_table_is_the_root_and_no_source(tmp_path: Path) -> None:
    """Every project of others has one; it still tells where paths begin."""
    write(tmp_path, "[project]\nname = 'x'", "pyproject.toml")

    config = load_config(tmp_path, {})

    assert (config.root, config.source, config.concurrency) == (tmp_path, None, 64)
    assert {"openai", "deepseek", "openrouter", "ollama", "vllm", "sglang", "llamacpp"} == set(config.endpoints)


@pytest.mark.parametrize(
    ("text", "what", "line", "fix"),
    [
        ('modle = "x"', "modle is not a setting", 1, "write `model`"),
        ("[endpoints.openai]\nrmp = 1", "endpoints.openai.rmp is not a setting", 2, "write `rpm`"),
        ("[endpoints.openai]\nmodels.a.nam = 'x'", "endpoints.openai.models.a.nam is not", 2, "write `name`"),
        ('concurrency = "many"', "concurrency is text, not a whole number", 1, "give a whole number"),
        ("concurrency = true", "concurrency is true or false, not a whole number", 1, "give a whole number"),
        ("concurrency = 0", "concurrency is 0", 1, "1 or more"),
        ("segment_mb = 0", "segment_mb is 0", 1, "1 or more"),
        ("segment_mb = 10_001", "segment_mb is 10001", 1, "from 1 to 10000"),
        ("segment_mb = 4.5", "segment_mb is a number, not a whole number", 1, "give a whole number"),
        ("allow_hosts = 'db:5432'", "allow_hosts is text, not a list", 1, "give a list"),
        ("allow_hosts = [5432]", "allow_hosts is a whole number, not text", 1, "give text"),
        ("allow_hosts = ['https://db/']", "allow_hosts has 'https://db/'", 1, '["db.example:5432", "*.internal"]'),
        ("endpoints = 3", "endpoints is a whole number, not a table", 1, "give a table"),
        ("[endpoints.x]\nrpm = 1", "endpoints.x.base_url is missing", None, "base_url ="),
        ("[endpoints.x]\nbase_url = 'ftp://h'", "endpoints.x.base_url is no http", 2, "https://host/v1"),
        ("[endpoints.x]\nbase_url = 'http://u:p@h/v1'", "holds a user or password", 2, "key_env"),
        ("[endpoints.x]\nbase_url = 'http://h/v1?key=1'", "has a query", 2, "before the ?"),
        ("[endpoints.openai]\ntimeout_seconds = inf", "timeout_seconds is inf", 2, "above 0"),
        ("[endpoints.openai]\nstructured = 'json-schema'", "structured is 'json-schema'", 2, '"json_schema"'),
        ("[endpoints.openai]\nheaders.X-Api-Key = 'a'", "is a credential", 2, "key_env"),
        ("[endpoints.openai]\nheaders.ocp-apim-subscription-key = 'a'", "is a credential", 2, "key_header"),
        ("[endpoints.openai]\nquery.subscription-key = 'a'", "is a credential", 2, "key_header"),
        (
            "[endpoints.openai]\nkey_header = 'X-Foo'\nheaders.x-foo = 'a'",
            "that the key is sent in",
            3,
            "one of the two",
        ),
        ("[endpoints.openai]\nquery.api_key = 'a'", "endpoints.openai.query.api_key is a credential", 2, "key_header"),
        ("[endpoints.openai]\nquery.v = 2024-10-21", "endpoints.openai.query.v is not text", 2, 'v = "..." in quotes'),
        ("[endpoints.openai]\nkey_header = 'a key'", "key_header is 'a key'", 2, 'key_header = "api-key"'),
        ("[endpoints.openai]\nkey_header = 'Host'", "key_header is 'Host'", 2, 'key_header = "api-key"'),
        ("[endpoints.openai]\nmodel_path = 'deployments'", "model_path is 'deployments'", 2, "deployments/{model}"),
        ("[endpoints.openai]\ndefaults.messages = []", "defaults.messages is not a default", 2, "remove it"),
        ("[endpoints.openai]\nmodels.a = { usd_per_million_in = -1 }", "usd_per_million_in is -1", 2, "0 or more"),
        ("hedge = 'no'", "hedge is text, not true or false", 1, "give true or false"),
        ("durability = 'strict'", "durability is 'strict'", 1, '"process"'),
        ("a = = 1", "not TOML", 1, "correct the line"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_its_fix(
    tmp_path: Path, text: str, what: str, line: int | None, fix: str
) -> None:
    """An unknown key is a spelling mistake until shown otherwise; a value of the wrong type is never guessed at."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)

    file = tmp_path / "llmbatch.toml"
    assert what in caught.value.what
    assert caught.value.place == (f"{file}:{line}" if line else str(file))
    assert fix in list(caught.value.details.values())[-1]


def test_keys_come_from_the_environment_given_and_are_never_shown(tmp_path: Path) -> None:
    """No repr, format or pickle of anything that holds a key shows it."""
    config = load(tmp_path, "", {"OPENAI_API_KEY": KEY, "DEEPSEEK_API_KEY": ""})
    model = resolve_model(config, "openai/gpt-4o-mini")

    assert model.wire_headers()["authorization"] == f"Bearer {KEY}"
    assert KEY not in f"{config!r} {config} {model!r} {model} {config.keys} {model.key} {model.key_headers}"
    with pytest.raises(TypeError):
        pickle.dumps(model.key)
    with pytest.raises(TypeError):
        copy.deepcopy(Secret(KEY))


def test_secrets_are_the_values_of_all_key_variables_that_are_set(tmp_path: Path) -> None:
    """What the cassette scrubs; an empty variable is a missing one."""
    config = load(tmp_path, "[endpoints.x]\nbase_url = 'http://h'\nkey_env = 'X_KEY'")

    environ = {"OPENAI_API_KEY": KEY, "DEEPSEEK_API_KEY": "", "X_KEY": "local-key", "OTHER_KEY": "no"}
    assert config.secrets(environ) == ["local-key", KEY]


def test_a_header_that_holds_a_key_is_refused_without_showing_it(tmp_path: Path) -> None:
    """Headers are stored in the cassette."""
    with pytest.raises(ConfigError, match="holds the value of a key variable") as caught:
        load(tmp_path, f"[endpoints.openai]\nheaders.x-gateway = 'pre-{KEY}'", {"OPENAI_API_KEY": KEY})

    assert KEY not in caught.value.report()


def test_a_query_that_holds_a_key_is_refused_without_showing_it(tmp_path: Path) -> None:
    """Addresses are stored in the cassette."""
    with pytest.raises(ConfigError, match=r"openai\.query\.user holds the value of a key variable") as caught:
        load(tmp_path, f"[endpoints.openai]\nquery.user = 'pre-{KEY}'", {"OPENAI_API_KEY": KEY})

    assert KEY not in caught.value.report()


def test_no_parameter_that_the_cassette_leaves_out_can_be_configured(tmp_path: Path) -> None:
    """It would be sent and not stored, so the recorded address would not be the one that was asked."""
    for name in _SECRET_PARAMETERS:
        with pytest.raises(ConfigError, match="is a credential"):
            load(tmp_path, f"[endpoints.openai]\nquery.{name} = 'a'")


def test_openai_base_url_of_the_environment_gives_way_to_the_file(tmp_path: Path) -> None:
    """The file is what is shared and reviewed."""
    environ = {"OPENAI_BASE_URL": "http://proxy/v1/"}

    from_environment = load(tmp_path, "", environ)
    from_file = load(tmp_path, "[endpoints.openai]\nbase_url = 'http://mine/v1'", environ)

    assert from_environment.endpoints["openai"].base_url == "http://proxy/v1"
    assert from_file.endpoints["openai"].base_url == "http://mine/v1"
    assert from_file.endpoints["openai"].key_env == "OPENAI_API_KEY"


def test_a_time_for_the_whole_reply_alone_is_for_its_first_byte_too(tmp_path: Path) -> None:
    """A service that does not stream sends nothing before it is done: who waits longer for all means that."""
    (tmp_path / "llmbatch.toml").write_text(
        "[endpoints.openai]\ntimeout_seconds = 1200\n"
        "[endpoints.deepseek]\ntimeout_seconds = 1200\nfirst_byte_timeout_seconds = 60\nidle_timeout_seconds = 5\n"
    )

    endpoints = load_config(tmp_path, {}).endpoints

    assert (10.0, 1200.0, 60.0, 1200.0, "endpoint openai") == endpoints["openai"].timeouts
    assert (10.0, 60.0, 5.0, 1200.0, "endpoint deepseek") == endpoints["deepseek"].timeouts
    assert (10.0, 300.0, 60.0, 600.0, "endpoint ollama") == endpoints["ollama"].timeouts


def test_hedging_is_on_unless_it_is_switched_off(tmp_path: Path) -> None:
    """A second call costs money, so that a project may say no once for all its runs."""
    assert load_config(tmp_path, {}).hedge

    (tmp_path / "llmbatch.toml").write_text("hedge = false")

    assert not load_config(tmp_path, {}).hedge
