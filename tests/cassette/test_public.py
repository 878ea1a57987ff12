"""The cassette around any code, without an experiment."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import llmbatch
from llmbatch.errors import NoAnswerRecorded, UnrecordedConnection, UsageError
from tests.support.fault_server import FaultServer


def get(url: str) -> bytes:
    with urllib.request.urlopen(url) as reply:
        body: bytes = reply.read()
        return body


def post(url: str, body: bytes) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, body, {"content-type": "application/json"})) as reply:
        answer: bytes = reply.read()
        return answer


def test_what_is_recorded_around_any_code_replays_without_the_server(server: FaultServer, tmp_path: Path) -> None:
    """Equal requests share one recording; `misses` stays known after the context."""
    url = f"{server.url}/echo?n=1"

    with llmbatch.Cassette(tmp_path / "c", record_mode="new_episodes") as recording:
        live = [get(url), get(url), get(f"{server.url}/echo?n=2")]
    server.stop()
    with llmbatch.Cassette(tmp_path / "c") as replay:
        again = [get(url), get(url), get(f"{server.url}/echo?n=2")]

    assert live == again
    assert (2, 0) == (recording.misses, replay.misses)
    assert 2 == len(list(llmbatch.Cassette(tmp_path / "c")))
    assert [] == replay.verify()


def test_a_miss_raises_where_nothing_may_be_sent(server: FaultServer, tmp_path: Path) -> None:
    """The default mode replays only."""
    with llmbatch.Cassette(tmp_path / "c"), pytest.raises(NoAnswerRecorded, match="/echo"):
        get(f"{server.url}/echo")

    assert 0 == server.truth()["calls"]


def test_a_cassette_is_entered_once(tmp_path: Path) -> None:
    """Nested contexts of one recorder would mix."""
    cassette = llmbatch.Cassette(tmp_path / "c")

    with cassette, pytest.raises(UsageError, match="open already"):
        cassette.__enter__()


def test_equal_requests_of_a_case_are_draws_of_their_own(server: FaultServer, tmp_path: Path) -> None:
    """A poll of one question: three answers, in the order asked, and others in another repeat."""
    body = json.dumps({"model": "m", "temperature": 1.0, "messages": [{"role": "user", "content": "a word"}]}).encode()

    def poll(cassette: llmbatch.Cassette, repeat: int) -> list[bytes]:
        with cassette.case("poll", repeat=repeat):
            return [post(f"{server.base_url}/chat/completions", body) for _ in range(3)]

    with llmbatch.Cassette(tmp_path / "c", record_mode="new_episodes") as recording:
        live = [poll(recording, repeat) for repeat in (0, 1)]
    server.stop()
    with llmbatch.Cassette(tmp_path / "c") as replay:
        replayed = [poll(replay, repeat) for repeat in (0, 1)]

    assert live == replayed
    assert 6 == recording.misses == len({answer for answers in live for answer in answers})
    assert {"poll"} == {interaction.case for interaction in replay}


def test_a_cassette_is_a_table(server: FaultServer, tmp_path: Path) -> None:
    """A row an interaction, with what was asked and said; failed attempts on request."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "a word"}]}).encode()
    with llmbatch.Cassette(tmp_path / "c", record_mode="new_episodes") as cassette:
        answer = post(f"{server.base_url}/chat/completions", body)
        with pytest.raises(urllib.error.HTTPError):
            post(f"{server.base_url}/chat/completions", body.replace(b"a word", b"[[500]]"))
        while_open = cassette.frame()
    frame = cassette.frame(failures=True)

    assert frame["response_body"][0] == answer.decode()
    assert frame.select("model", "status", "text").row(0) == (
        "m",
        200,
        json.loads(answer)["choices"][0]["message"]["content"],
    )
    assert [None, "server_error"] == frame["kind"].to_list()
    assert while_open.equals(cassette.frame())
    assert frame.columns == cassette.scan().collect_schema().names()


def test_connections_past_the_recorder_are_refused_where_that_is_asked_for(server: FaultServer, tmp_path: Path) -> None:
    """An empty list allows none; HTTP that is recorded passes."""
    place = ("127.0.0.1", int(server.url.rsplit(":", 1)[1]))
    with llmbatch.Cassette(tmp_path / "c", record_mode="new_episodes", allow_hosts=[]):
        assert get(f"{server.url}/echo")
        with pytest.raises(UnrecordedConnection, match=r"127\.0\.0\.1"):
            socket.create_connection(place)
    with llmbatch.Cassette(tmp_path / "c", allow_hosts=["127.0.0.1"]):
        socket.create_connection(place).close()


def test_the_room_has_the_public_names() -> None:
    """`llmbatch.cassette` is what people without experiments import."""
    from llmbatch import cassette

    assert cassette.Cassette is llmbatch.Cassette
    assert all(getattr(cassette, name).__name__ == name for name in cassette.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Casette'"):
        cassette.Casette  # type: ignore[attr-defined]  # noqa: B018 - the access is what is tested
