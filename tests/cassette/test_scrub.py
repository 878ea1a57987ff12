"""Nothing secret is stored: headers by allow-list, addresses without credentials, bodies without known keys."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmbatch.call.values import Reply
from llmbatch.cassette.scrub import Scrubber, encodable, is_credential, secret_forms
from llmbatch.cassette.segment import Metadata
from llmbatch.cassette.store import Store
from llmbatch.errors import InternalError

SECRET = 'sk-live/0123+456=789"abcdef'
URL = "https://api.example.com/v1/chat/completions"


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("https://user:pw@host/v1", "https://host/v1"),
        ("https://host/v1?api_key=x", "https://host/v1"),
        ("https://host/v1?a=1&KEY=x&b=2&to%6Ben=y", "https://host/v1?a=1&b=2"),
        ("https://host/v1?sig=x&signature=y&code=z&access_token=t&q=1#part", "https://host/v1?q=1"),
        ("https://host/v1?keys=1&monkey=2", "https://host/v1?keys=1&monkey=2"),
        ("https://host/v1?", "https://host/v1?"),
        ("https://Host:8443/a%2Fb?q=%20", "https://Host:8443/a%2Fb?q=%20"),
        ("http://u@[::1]:80/", "http://[::1]:80/"),
    ],
)
def test_an_address_is_stored_without_its_credentials(sent: str, stored: str) -> None:
    """Userinfo, fragment and secret parameters go; every other byte stays as sent."""
    assert stored == Scrubber().url(sent)


def test_request_headers_are_an_allow_list() -> None:
    """Only the content type and the key headers; a credential not even when asked for."""
    scrubber = Scrubber(key_headers=["X-Route", "Authorization", "X-Amz-Security-Token", "cookie"])
    sent = {
        "Content-Type": "application/json",
        "OpenAI-Beta": ["a", "b"],
        "X-Route": "blue",
        "Authorization": "Bearer x",
        "Cookie": "c",
        "X-Amz-Security-Token": "t",
        "User-Agent": "u",
    }
    stored = {"content-type": ("application/json",), "openai-beta": ("a", "b"), "x-route": ("blue",)}

    assert stored == scrubber.request_headers(sent)


@pytest.mark.parametrize("key", [SECRET, "ollama"])
def test_a_key_header_that_holds_a_key_is_a_credential(key: str) -> None:
    """However short the key is, and whatever the header is called."""
    scrubber = Scrubber(secrets=[key], key_headers=["x-portal"])

    assert scrubber.request_headers({"x-portal": f"Bearer {key}"}) == {}


def test_response_headers_are_an_allow_list() -> None:
    """What a table or a retry may need; no cookie and no account's name."""
    sent = {
        "Content-Type": ("application/json",),
        "X-RateLimit-Remaining-Requests": ("9",),
        "Retry-After": ("1",),
        "set-cookie": ("s",),
        "openai-organization": ("o",),
        "date": ("d",),
        "x-request-id": ("r",),
    }
    stored = {
        "content-type": ("application/json",),
        "x-ratelimit-remaining-requests": ("9",),
        "retry-after": ("1",),
        "x-request-id": ("r",),
    }

    assert stored == Scrubber().response_headers(sent)


@pytest.mark.parametrize("name", ["authorization", "x-api-key", "openai-project", "set-cookie", "x-amz-date"])
def test_credential_headers_are_known_by_name(name: str) -> None:
    """The list of names is closed, and one prefix."""
    assert is_credential(name)


@pytest.mark.parametrize("before", ["", "u", "us", "user:"])
@pytest.mark.parametrize("after", ["", "!", "!!"])
def test_a_secret_inside_of_base64_is_found_at_any_offset(before: str, after: str) -> None:
    """`Basic` credentials and data URLs echo a key in the middle of other text."""
    scrubber = Scrubber(secrets=[SECRET])
    text = base64.b64encode((before + SECRET + after).encode())

    assert b"<secret>" in scrubber.body(b"x " + text + b" y")


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_scrubbing_changes_no_other_byte(before: bytes, after: bytes) -> None:
    """What stands around a secret comes out as it went in."""
    scrubber = Scrubber(secrets=[SECRET])

    assert before + b"<secret>" + after == scrubber.body(before + SECRET.encode() + after)


def test_short_keys_are_not_replaced_in_texts() -> None:
    """A local server's key is a word, and the word may be in any answer."""
    assert Scrubber(secrets=["EMPTY", "ollama", ""]).body(b"EMPTY ollama") == b"EMPTY ollama"


def test_text_that_utf8_cannot_hold_becomes_text_that_it_can() -> None:
    """Clients smuggle bytes of headers in as surrogates."""
    assert encodable("caf\udce9") == "caf\xe9"
    assert encodable("\ud83d") == "\\ud83d"
    assert encodable("日本") == "日本"


def test_planted_secrets_are_in_no_file(tmp_path: Path) -> None:
    """Twelve ways for a key to get near a cassette, and none of them in it."""
    echo = {"error": {"message": f"Incorrect API key provided: {SECRET}"}}
    headers = {
        "content-type": f"application/json; note={SECRET}",
        "authorization": f"Bearer {SECRET}",
        "x-route": SECRET,
        "cookie": SECRET,
    }
    url = f"https://user:{quote(SECRET, safe='')}@host/v1/{quote(SECRET, safe='')}?api_key={SECRET}&x={quote(SECRET)}"
    body = json.dumps({"prompt": SECRET, "nested": json.dumps({"k": SECRET})}).encode()
    binary = b"\xff\xfe" + SECRET.encode() + base64.b64encode(b"user:" + SECRET.encode())
    reply_headers = {"set-cookie": (SECRET,), "x-request-id": (f"id-{SECRET}",)}
    metadata = Metadata(endpoints={"e": f"https://user:{quote(SECRET, safe='')}@host/v1"})
    store = Store(tmp_path, record_mode="new_episodes", secrets=[SECRET], key_headers=["x-route"], metadata=metadata)
    with store:
        request = store.request("POST", url, headers, body)
        echoed = Reply(200, f"OK {SECRET}", reply_headers, json.dumps(echo).encode())
        store.record(store.call(request, 0, 0), echoed, case=SECRET)
        store.record(store.call(request, 0, 1), Reply(200, "OK", {}, binary), case=None)
        store.record_failure(store.call(request, 0, 2), "auth", f"no: {SECRET}", reply=echoed, case=None)
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    forms = [SECRET, quote(SECRET), quote(SECRET, safe=""), json.dumps(SECRET)[1:-1], "sk-live", "0123+456"]
    forms.append(base64.b64encode(b"user:" + SECRET.encode()).decode()[8:-4])

    assert written.count(b'- {"key"') == 3
    assert [form for form in forms if form.encode() in written] == []
    assert store.verify() == []


def test_a_request_that_was_not_scrubbed_is_not_written(tmp_path: Path) -> None:
    """The last look is at the encoded line itself."""
    with Store(tmp_path, record_mode="new_episodes") as plain:
        request = plain.request("POST", URL, {}, SECRET.encode())
    with Store(tmp_path, record_mode="new_episodes", secrets=[SECRET]) as store:
        with pytest.raises(InternalError, match="secret"):
            store.record(store.call(request, 0, 0), Reply(200, "OK", {}, b"{}"), case=None)

        assert len(store) == 0
    assert sorted(tmp_path.glob("segment-*")) == []


@given(st.sampled_from(sorted(secret_forms(SECRET) | secret_forms("ä-key/with+signs=and?more"))), st.text(max_size=20))
def test_every_form_of_a_secret_is_found_by_the_few_that_are_looked_for(form: str, around: str) -> None:
    """Most forms hold another, so that one look for that one tells of both."""
    scrubber = Scrubber(secrets=[SECRET, "ä-key/with+signs=and?more"])
    text = around + form + around

    assert len(scrubber._marks) < len(scrubber._forms)
    assert scrubber.holds_secret(text.encode("utf-8", "surrogatepass"))
    assert form not in scrubber.text(text)
    assert form.encode("utf-8", "surrogatepass") not in scrubber.body(text.encode("utf-8", "surrogatepass"))
