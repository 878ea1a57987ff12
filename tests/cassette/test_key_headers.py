"""Which headers and parameters enter the key: those the author sets on an endpoint, and never a credential."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import pytest

from llmbatch.call.values import Reply
from llmbatch.cassette import scrub
from llmbatch.cassette.store import Store
from llmbatch.config import load_config
from llmbatch.errors import ConfigError
from llmbatch.invocation.models import Models

BASE_URL = "https://api.example.com/v1"
URL = f"{BASE_URL}/chat/completions"
KEY = "not-a-real-key/0123+456"


def recorded(
    folder: Path, url: str, headers: dict[str, str], *, key_headers: Sequence[str] = (), secrets: Sequence[str] = ()
) -> tuple[bytes, bytes]:
    """Return the key of a request and the bytes of the cassette that it was recorded in."""
    with Store(folder, record_mode="new_episodes", key_headers=key_headers, secrets=secrets) as store:
        call = store.call(store.request("POST", url, headers, b"{}"), 0, 0)
        store.record(call, Reply(200, "OK", {}, b"{}"))
    return call.key, (folder / "segment-00001.yaml").read_bytes()


def test_a_header_that_the_author_sets_moves_the_key(tmp_path: Path) -> None:
    """From the configuration to the line: another value is another question."""
    keys = set()
    for value in ("blue", "green"):
        text = f'[endpoints.e]\nbase_url = "{BASE_URL}"\nheaders = {{ X-Route = "{value}" }}\n'
        (tmp_path / "llmbatch.toml").write_text(text, encoding="utf-8")
        model = Models(load_config(tmp_path, {})).resolve("e/m")
        key, text_of = recorded(tmp_path / value, URL, dict(model.key_headers), key_headers=["X-Route"])
        keys.add(key)

        assert f'"x-route":["{value}"]'.encode() in text_of
    assert 2 == len(keys)


@pytest.mark.parametrize("name", ["user-agent", "accept", "x-stainless-retry-count", "date", "content-length"])
def test_a_header_that_nobody_set_on_the_endpoint_does_not_count(name: str, tmp_path: Path) -> None:
    """Clients and their versions send what they like."""
    plain, with_header = (recorded(tmp_path / str(n), URL, headers) for n, headers in enumerate([{}, {name: "x9"}]))

    assert plain[0] == with_header[0]
    assert b"x9" not in with_header[1]


@pytest.mark.parametrize("name", [*sorted(scrub._CREDENTIALS), "x-amz-security-token"])
def test_a_credential_never_enters_even_when_it_is_asked_for(name: str, tmp_path: Path) -> None:
    """Nor would it be stored: another person's key replays the same cassette."""
    plain, named = (
        recorded(tmp_path / str(number), URL, headers, key_headers=[name])
        for number, headers in enumerate([{}, {name.title(): "c0ffee"}])
    )

    assert plain[0] == named[0]
    assert b"c0ffee" not in named[1]


@pytest.mark.parametrize(
    "value",
    [
        KEY,
        f"Bearer {KEY}",
        f"key={quote(KEY, safe='')}; x",
        f"Basic {base64.b64encode(f'user:{KEY}'.encode()).decode()}",
    ],
)
@pytest.mark.parametrize("name", ["x-portal", "openai-beta", "anthropic-beta"])
def test_a_header_that_holds_a_key_never_enters(name: str, value: str, tmp_path: Path) -> None:
    """However it is called and written: it leaves neither key nor file, so another key finds the same answer."""
    plain, holding = (
        recorded(tmp_path / str(number), URL, headers, key_headers=["x-portal"], secrets=[KEY])
        for number, headers in enumerate([{}, {name: value}])
    )

    assert plain[0] == holding[0]
    assert name.encode() not in holding[1].splitlines()[3]
    assert b"not-a-real-key" not in holding[1]


def test_a_configuration_whose_header_holds_a_key_is_refused(tmp_path: Path) -> None:
    """Before anything is sent: the key is sent by itself."""
    text = f'[endpoints.e]\nbase_url = "{BASE_URL}"\nkey_env = "K"\nheaders = {{ x-portal = "t {KEY}" }}\n'
    (tmp_path / "llmbatch.toml").write_text(text, encoding="utf-8")

    with pytest.raises(ConfigError, match="holds the value of a key variable"):
        load_config(tmp_path, {"K": KEY})


def test_an_api_version_enters_the_key(tmp_path: Path) -> None:
    """Another version of a service is another service."""
    urls = [URL, f"{URL}?api-version=2026-01-01", f"{URL}?api-version=2026-02-01"]

    assert 3 == len({recorded(tmp_path / str(number), url, {})[0] for number, url in enumerate(urls)})


@pytest.mark.parametrize("name", sorted(scrub._SECRET_PARAMETERS))
def test_a_secret_parameter_does_not(name: str, tmp_path: Path) -> None:
    """Beside others, in any letter case, percent-encoded: it leaves no trace in key or file."""
    base = f"{URL}?api-version=1"
    urls = [
        base,
        f"{base}&{name}=c0ffee",
        f"{URL}?{name.upper()}=c0ffee&api-version=1",
        f"{base}&%{ord(name[0]):x}{name[1:]}=c0ffee",
    ]
    found = [recorded(tmp_path / str(number), url, {}) for number, url in enumerate(urls)]

    assert 1 == len({key for key, _ in found})
    assert not any(b"c0ffee" in written for _, written in found)
