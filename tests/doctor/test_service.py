"""`llmbatch doctor ENDPOINT` says in one line what is wrong with the way to a service, and never says a key."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmbatch.capability.words import FACTS
from llmbatch.cli import main
from tests.support.canned import Canned, http
from tests.support.dialects import KEY as SCRIPTED_KEY
from tests.support.dialects import OpenAIReasoning, Service
from tests.support.fault_server import FaultServer

KEY = "not-a-real-key-0123456789"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No proxy and no configuration but those of the test."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def keyed() -> Iterator[FaultServer]:
    with FaultServer(require_key=KEY) as started:
        yield started


class Said(dict[str, str]):
    """What was printed, by the name of the step; `code` is the exit code."""

    code: int
    text: str


def examined(capsys: pytest.CaptureFixture[str], *words: str) -> Said:
    code = main(["doctor", *words])
    text = capsys.readouterr().out
    said = Said((line[8:18].strip(), f"{line[:6].strip()} {line[20:]}") for line in text.splitlines())
    said.code, said.text = code, text
    return said


def configure(base_url: str, more: str = "") -> None:
    Path("llmbatch.toml").write_text(
        f'[endpoints.study]\nbase_url = "{base_url}"\nkey_env = "STUDY_KEY"\n{more}', encoding="utf-8"
    )


def test_a_service_that_is_well_is_ok_step_by_step(
    keyed: FaultServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is called, so nothing is paid; the limits are those of the configuration."""
    configure(keyed.base_url, "rpm = 500\n")
    monkeypatch.setenv("STUDY_KEY", KEY)

    said = examined(capsys, "study")

    assert ["address", "key", "proxy", "dns", "connection", "models", "limits"] == list(said)
    assert all(line.startswith("ok ") for line in said.values()), said.text
    assert "1: fault-model" in said["models"]
    assert "configured: rpm 500" in said["limits"]
    assert (0, ["/v1/models"]) == (said.code, list(keyed.truth()["per_path"]))
    assert KEY not in said.text


def test_a_call_is_made_where_it_is_asked_for(server: FaultServer, capsys: pytest.CaptureFixture[str]) -> None:
    """To a bare base URL: the first model of its list is called, once."""
    said = examined(capsys, server.base_url, "--call")

    assert "fault-model answered in" in said["call"]
    assert (0, 1) == (said.code, server.truth()["per_path"]["/v1/chat/completions"])


def test_a_model_that_is_named_is_probed_beside_the_call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line a fact, and how a run would ask; a limit that is taken under another name is no failure of the call."""
    monkeypatch.setenv("LLMBATCH_TEST_KEY", SCRIPTED_KEY)
    with Service(OpenAIReasoning()) as service:
        Path("llmbatch.toml").write_text(service.dialect.configuration(service.address, None), encoding="utf-8")
        said = examined(capsys, f"service/{service.dialect.model}", "--call")

    lines = [line[20:] for line in said.text.splitlines() if line[8:18].strip() == "probe"]
    names = [line.partition(":")[0] for line in lines[:-1]]
    assert (0, [*FACTS, "temperature", "top_p", "max_tokens"]) == (said.code, names)
    assert lines[0] == "json_schema: yes (strict JSON schema: it does)"
    assert "temperature: left out (refused by an error)" in lines
    assert "max_tokens: renamed (sent as max_completion_tokens)" in lines
    assert lines[-1] == "shapes are asked for by json_schema, the best that is known to work"


def test_a_wrong_key_is_refused_and_not_shown(
    keyed: FaultServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The service is the cause, so the exit code is that of a run it stops."""
    configure(keyed.base_url)
    monkeypatch.setenv("STUDY_KEY", "another-" + KEY)

    said = examined(capsys, "study")

    assert said["models"].startswith("FAILED the service refuses the key")
    assert "fix: check the key" in said["models"]
    assert 6 == said.code
    assert "another-" not in said.text


def test_a_key_that_is_echoed_is_taken_out(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Also one that is too short to be taken out of a cassette."""
    for key in (KEY, "short"):
        body = f'{{"error": {{"message": "no such key: {key}"}}}}'
        with Canned(http("401 Unauthorized", body, "application/json")) as service:
            configure(f"http://{service.address}/v1")
            monkeypatch.setenv("STUDY_KEY", key)
            said = examined(capsys, "study")

        assert "no such key: <secret>" in said["models"]


def test_a_key_that_is_not_set_or_has_quotes_is_named(
    keyed: FaultServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commonest two; the steps after it are made all the same."""
    configure(keyed.base_url)
    monkeypatch.delenv("STUDY_KEY", raising=False)
    unset = examined(capsys, "study")
    monkeypatch.setenv("STUDY_KEY", f'"{KEY}"')
    quoted = examined(capsys, "study")

    assert "FAILED STUDY_KEY is not set; fix: export STUDY_KEY" in unset["key"]
    assert "FAILED STUDY_KEY holds white space or quotes" in quoted["key"]
    assert (4, 4) == (unset.code, quoted.code)
    assert KEY not in quoted.text


def test_an_address_without_v1_is_told_with_the_right_one(
    server: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Too short or too long."""
    short = examined(capsys, server.url)
    long = examined(capsys, f"{server.base_url}/chat/completions")

    for said in (short, long):
        assert f'fix: write base_url = "{server.base_url}"' in said["models"]
        assert 4 == said.code


def test_nothing_listens(capsys: pytest.CaptureFixture[str]) -> None:
    """The port is named, and nothing further is tried."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    said = examined(capsys, f"http://127.0.0.1:{port}/v1")

    assert f"FAILED nothing listens at 127.0.0.1:{port}" in said["connection"]
    assert "fix: start the server" in said["connection"]
    assert (6, "connection") == (said.code, list(said)[-1])


def test_a_name_that_nobody_knows(capsys: pytest.CaptureFixture[str]) -> None:
    """By RFC 6761 this one never resolves."""
    said = examined(capsys, "http://nowhere.invalid/v1")

    assert "FAILED the name nowhere.invalid cannot be looked up" in said["dns"]


def test_a_portal_in_the_way(capsys: pytest.CaptureFixture[str]) -> None:
    """A web page with status 200 is no model API."""
    with Canned(http("200 OK", "<html><title>Sign in</title></html>", "text/html")) as portal:
        said = examined(capsys, f"http://{portal.address}/v1")

    assert "FAILED a web page comes in the place of an answer (200, text/html); fix: sign in" in said["models"]


def test_a_server_of_another_kind(capsys: pytest.CaptureFixture[str]) -> None:
    """One that speaks plain text, and one that speaks HTTP and no API."""
    with Canned(b"SSH-2.0-OpenSSH_9.6\r\n", greets=True) as other:
        text = examined(capsys, f"http://{other.address}/v1")
    with Canned(http("200 OK", "It works!")) as plain:
        page = examined(capsys, f"http://{plain.address}/v1")

    assert "FAILED 127.0.0.1" in text["models"]
    assert "not in HTTP" in text["models"]
    assert "the answer is not that of a model API (text/plain)" in page["models"]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_wants_a_password(
    scheme: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Asked directly, or to connect; the password in the environment is not shown."""
    with Canned(
        http("407 Proxy Authentication Required", "no", "text/plain", 'proxy-authenticate: Basic realm="x"')
    ) as proxy:
        monkeypatch.setenv(f"{scheme}_proxy", f"http://me:hunter2@{proxy.address}")
        said = examined(capsys, f"{scheme}://models.invalid/v1")

    assert f"ok http://{proxy.address} ({scheme}_proxy)" in said["proxy"]
    assert "FAILED the proxy asks for a user and a password (407)" in said["models"]
    assert "hunter2" not in said.text
    assert 6 == said.code


@pytest.mark.parametrize("value", ["127.0.0.1:8080", "socks5://127.0.0.1:1080", "http://x:port"])
def test_a_proxy_that_cannot_be_used_is_named_by_its_variable(
    value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without its scheme it is the commonest mistake; nothing is tried with it."""
    monkeypatch.setenv("http_proxy", value)

    said = examined(capsys, "http://models.invalid/v1")

    assert "FAILED http_proxy names no proxy that can be used; fix: write http_proxy=http://host:port" in said["proxy"]
    assert (4, "proxy") == (said.code, list(said)[-1])


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_a_certificate_that_nobody_has_signed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The fix is the variable that every TLS library reads, not a switch that turns checking off."""
    words = "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost"
    subprocess.run(["openssl", *words.split()], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with Canned(http("200 OK", "{}"), tls=context) as service:
        said = examined(capsys, f"https://{service.address}/v1")

    assert "is not trusted" in said["tls"]
    assert "fix: set SSL_CERT_FILE" in said["tls"]
    assert "tls" == list(said)[-1]


def test_https_where_none_is_spoken(server: FaultServer, capsys: pytest.CaptureFixture[str]) -> None:
    """A local server is often written with the wrong scheme."""
    said = examined(capsys, server.base_url.replace("http:", "https:"))

    assert "speaks no TLS" in said["tls"]
    assert "fix: write http://" in said["tls"]


def test_limits_that_the_service_tells_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Beside those of the configuration."""
    models = '{"data": [{"id": "one"}]}'
    limits = ("x-ratelimit-limit-requests: 500", "x-ratelimit-limit-tokens: 200000")
    with Canned(http("200 OK", models, "application/json", *limits)) as service:
        said = examined(capsys, f"http://{service.address}/v1")

    assert "ok 500 requests, 200000 tokens; configured: none" in said["limits"]


def test_an_endpoint_that_is_not_known_is_named_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is looked up."""
    assert 4 == main(["doctor", "opnai"])
    assert "write `openai`" in capsys.readouterr().err
