"""A segment is a vcrpy cassette: stock vcrpy, without llmbatch, replays it."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import httpx2
import pytest
import vcr
from vcr.errors import CannotOverwriteExistingCassetteException

from llmbatch.call.values import Reply
from llmbatch.cassette.store import Store

URL = "https://api.example.com/v1/chat/completions?api-version=1"
ANSWERS = {
    b'{"q":"one"}': '{"a":"\u2028 \x85 \U0001f600 # crc32=00000000"}'.encode(),
    b'{"q":"two"}': b"\xff\xfe\x00binary",
    '{"q":"drei\u2029 ä"}'.encode(): b"",
}


@pytest.fixture
def segment(tmp_path: Path) -> str:
    """A segment with a failed attempt beside it."""
    headers = {"content-type": "application/json", "authorization": "Bearer x"}
    with Store(tmp_path, record_mode="new_episodes") as store:
        for body, answer in ANSWERS.items():
            call = store.call(store.request("POST", URL, headers, body), 0, 0)
            store.record_failure(call, "server_error", "busy", reply=Reply(503, "busy", {}, b"no"), case=None)
            store.record(call, Reply(200, "OK", {"content-type": ("application/json",)}, answer), case="c")
    return str(tmp_path / "segment-00001.yaml")


def test_stock_vcrpy_replays_a_segment_to_urllib(segment: str) -> None:
    """Matched on method, URI and body, as the README of a shared cassette says."""
    with vcr.VCR().use_cassette(segment, record_mode="none", match_on=["method", "uri", "body"]):
        for body, answer in reversed(ANSWERS.items()):
            request = urllib.request.Request(URL, body, {"content-type": "application/json"}, method="POST")
            with urllib.request.urlopen(request) as reply:
                assert (200, answer) == (reply.status, reply.read())


def test_stock_vcrpy_replays_a_segment_to_httpx2(segment: str) -> None:
    """The client that the OpenAI package uses; JSON members may be sent in another order."""
    with (
        vcr.VCR().use_cassette(segment, record_mode="none", match_on=["method", "uri", "body"]),
        httpx2.Client() as client,
    ):
        for body, answer in ANSWERS.items():
            reply = client.post(URL, content=body, headers={"content-type": "application/json"})
            assert (200, answer) == (reply.status_code, reply.content)
        with pytest.raises(CannotOverwriteExistingCassetteException):
            client.post(URL, content=b'{"q":"three"}', headers={"content-type": "application/json"})


def test_reading_with_stock_vcrpy_leaves_the_segment_alone(segment: str) -> None:
    """Mode `none` writes nothing."""
    before = Path(segment).read_bytes()
    test_stock_vcrpy_replays_a_segment_to_urllib(segment)

    assert before == Path(segment).read_bytes()
