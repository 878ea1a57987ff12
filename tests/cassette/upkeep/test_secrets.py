"""What looks like a key is found wherever it was recorded, and is never shown; what only begins like one is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmbatch.call.values import Reply
from llmbatch.cassette.line import with_crc
from llmbatch.cassette.segment import Metadata
from llmbatch.cassette.store import Store
from llmbatch.cassette.upkeep.secrets import secrets_of, shapes_in

ROOT = Path(__file__).parents[3]
LETTERS = "aB3dE6gH"  # repeated: of the right shape, and plainly nobody's
UPPER = "AB3DE6GH"

SHAPES = {
    "API key": [
        "sk-" + LETTERS * 6,
        "sk-" + "0123abcd" * 4,
        "sk-or-v1-" + "0123abcd" * 8,
        "sk-ant-api03-" + LETTERS * 10 + "-AA",
    ],
    "OpenAI key": ["sk-proj-" + "aB3_dE-6" * 16],
    "Groq key": ["gsk_" + LETTERS * 6],
    "xAI key": ["xai-" + LETTERS * 10],
    "NVIDIA key": ["nvapi-" + LETTERS * 8],
    "Hugging Face token": ["hf_" + "abCDefGH" * 4],
    "AWS key id": ["AKIA" + UPPER * 2, "ASIA" + UPPER * 2],
    "GitHub token": [f"gh{letter}_" + LETTERS * 5 for letter in "pousr"],
    "GitHub fine-grained token": ["github_pat_" + LETTERS * 8],
    "GitLab token": ["glpat-" + LETTERS * 3],
    "Slack token": ["xoxb-" + "12345678-" * 3 + LETTERS],
    "Google API key": ["AIza" + LETTERS * 4 + "abc"],
    "JSON web token": ["eyJ" + LETTERS * 2 + ".eyJ" + LETTERS * 3 + "." + LETTERS * 4],
    "bearer token": ["Bearer " + LETTERS * 4, "bearer " + "a.b~c+1/" * 3],
    "private key": [
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
    ],
}


@pytest.mark.parametrize(("shape", "text"), [(shape, text) for shape, texts in SHAPES.items() for text in texts])
@pytest.mark.parametrize(
    "around", ["{}", '{{"key":"{}"}}', "the key is {}, keep it", "\\n{}\\n", "KEY={}&x=1", "KEY%3D{}%26", "\\u003d{}"]
)
def test_every_shape_is_found_inside_other_text_and_not_shown(shape: str, text: str, around: str) -> None:
    """Once, under its name; of the secret itself no more than the part that all keys of its kind share."""
    ((found, sample),) = shapes_in(around.format(text))

    assert shape == found
    assert f"({len(text)} characters)" in sample
    shown = sample.partition("…")[0]
    assert text.startswith(shown)
    assert shape == "private key" or len(shown) <= 12


@pytest.mark.parametrize(
    "text",
    [
        "sk-***",
        "sk-a***. You can find your key in your account.",
        "sk-learn",
        "class='sk-fading-circle sk-spinner-wandering-cubes'",
        "task-0123456789abcdef0123456789abcdef",
        "the-sk-is-a-country-code-of-slovakia-and-nothing-else",
        "Bearer tokens are sent in a header",
        "Bearer $OPENAI_API_KEY_OF_MY_PROJECT",
        "hf_hub_download(repo_id)",
        "AKIA",
        "BAKIA" + UPPER * 2,
        "eyJhbGciOi",
        "ghp_short",
        "-----BEGIN CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----",
        "0123456789abcdef" * 4,
    ],
)
def test_what_only_begins_like_a_key_is_not_reported(text: str) -> None:
    """A check that cries wolf is switched off."""
    assert [] == shapes_in(text)


def test_the_shipped_cassettes_hold_nothing_of_the_kind() -> None:
    """They are public."""
    folders = [folder for folder in (ROOT / "cassettes").iterdir() if folder.is_dir()]

    assert folders
    assert [] == [hit for folder in folders for hit in secrets_of(folder)]


def test_every_member_is_searched_and_named(tmp_path: Path) -> None:
    """With file, offset and key, so that it can be looked at."""
    secret = SHAPES["Hugging Face token"][0]
    metadata = Metadata(endpoints={"a": f"https://h/{secret}"})
    with Store(tmp_path, record_mode="new_episodes", metadata=metadata, key_headers=["x-team"]) as store:
        request = store.request("POST", f"https://h/{secret}", {"x-team": secret}, secret.encode())
        call = store.call(request, 0, 0)
        store.record(call, Reply(200, secret, {"x-request-id": (secret,)}, b"\xff" + secret.encode()), case=secret)
        store.record_failure(call, "timeout", f"no byte, {secret}", case="c")
    hits = list(secrets_of(tmp_path))

    answer = [hit for hit in hits if hit.file.name == "segment-00001.yaml"]
    members = ["metadata", "request.uri", "request.headers.x-team", "request.body", "response.status.message"]
    assert [*members, "response.headers.x-request-id", "response.body", "case"] == [hit.member for hit in answer]
    assert {call.key.hex()} == {hit.key for hit in answer[1:]}
    segment = (tmp_path / "segment-00001.yaml").read_bytes()
    assert {segment.index(b"- {")} == {hit.offset for hit in answer[1:]}
    assert ["message"] == [hit.member for hit in hits if hit.file.name == "failures-00001.yaml"][-1:]
    assert not any(secret in hit.sample for hit in hits)


def test_a_secret_is_reported_once_a_member_and_two_are_two() -> None:
    """A prompt that repeats a key a thousand times is one find."""
    one, other = SHAPES["AWS key id"]

    assert ["AKIA… (20 characters)", "ASIA… (20 characters)"] == [
        sample for _, sample in shapes_in(f"{one} {other} {one}")
    ]


def test_a_secret_is_found_in_bytes_and_behind_escapes(tmp_path: Path) -> None:
    """The line itself does not show it: base64 of bytes that are no text, and letters as a stranger may write them."""
    secret = SHAPES["API key"][0].encode()
    with Store(tmp_path, record_mode="new_episodes") as store:
        for number, body in enumerate((b"\xff" + secret, b"escaped")):
            call = store.call(store.request("POST", "https://h/v1", {}, b"%d" % number), 0, 0)
            store.record(call, Reply(200, "OK", {}, body))
    path = tmp_path / "segment-00001.yaml"
    *lines, last = path.read_bytes().splitlines(keepends=True)
    escaped = with_crc(b"- ", last[2:-18].replace(b"escaped", b"\\u0073" + secret[1:]))
    path.write_bytes(b"".join([*lines, escaped]))

    assert secret not in path.read_bytes()
    assert ["response.body", "response.body"] == [hit.member for hit in secrets_of(tmp_path)]
