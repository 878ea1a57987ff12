"""What llmbatch leans on in vcrpy and in the libraries it patches. A release that moves any of it fails here.

vcrpy has changed where it patches httpx in three majors, and some of what is used here is private. When a
test of this file fails, read the new vcrpy before changing the test: a patch point that moved means
requests that are sent, paid for and not recorded.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import inspect
from pathlib import Path
from typing import Any

import aiohttp
import httpx2
import pytest
import urllib3.connection
import urllib3.connectionpool
import vcr.cassette
import vcr.patch
import vcr.stubs
from vcr.record_mode import RecordMode
from vcr.request import Request
from vcr.stubs import aiohttp_stubs, httpx_stubs

from llmbatch.call import values
from llmbatch.call.values import Call
from llmbatch.cassette.recording.asked import AskedRequest
from llmbatch.cassette.recording.guard import passing_through
from llmbatch.cassette.recording.on_demand import CLIENTS
from llmbatch.cassette.recording.patching import real_connections_kept, saved_functions
from llmbatch.cassette.recording.recorder import SAVED_BY_VCRPY, VcrCassette, recording
from llmbatch.cassette.recording.wire import Sent
from llmbatch.cassette.store import Store
from llmbatch.errors import InternalError

OVERRIDDEN = {
    "can_play_response_for": ["self", "request"],
    "play_response": ["self", "request"],
    "append": ["self", "request", "response"],
    "find_requests_with_most_matches": ["self", "request"],
    "filter_request": ["self", "request"],
    "__contains__": ["self", "request"],
    "__len__": ["self"],
    "_load": ["self"],
    "_save": ["self", "force"],
}
PATCH_POINTS: list[tuple[Any, str]] = [
    (http.client, "HTTPConnection"),
    (http.client, "HTTPSConnection"),
    (urllib3.connection, "HTTPConnection"),
    (urllib3.connection, "HTTPSConnection"),
    (urllib3.connectionpool.HTTPConnectionPool, "ConnectionCls"),
    (urllib3.connectionpool.HTTPSConnectionPool, "ConnectionCls"),
    (aiohttp.ClientSession, "_request"),
    (httpx2.HTTPTransport, "handle_request"),
    (httpx2.AsyncHTTPTransport, "handle_async_request"),
    (httpx2.WSGITransport, "handle_request"),
    (httpx2.ASGITransport, "handle_async_request"),
    (httpx2.MockTransport, "handle_request"),
    (httpx2.MockTransport, "handle_async_request"),
]
OURS: list[tuple[Any, str]] = [
    (vcr.patch, "force_reset"),
    (vcr.patch, "ConnectionRemover"),
    (vcr.stubs.VCRConnection, "getresponse"),
    (vcr.stubs.VCRHTTPConnection, "_baseclass"),
    (vcr.stubs.VCRHTTPSConnection, "_baseclass"),
    (vcr.stubs.HTTPConnection, "__init__"),
    (vcr.stubs.VCRConnection, "__init__"),
    (vcr.stubs.HTTPSConnection, "__init__"),
]


def _parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_the_members_we_override_are_there_and_take_what_they_took(name: str) -> None:
    """An override that nothing calls any more would be silence, not an error."""
    theirs = getattr(vcr.cassette.Cassette, name)

    assert _parameters(theirs) == OVERRIDDEN[name]
    assert _parameters(getattr(VcrCassette, name)) == OVERRIDDEN[name]
    assert name in vars(VcrCassette)


def test_what_the_stubs_ask_a_cassette_for_is_what_we_answer() -> None:
    """A new member that a stub reads would find vcrpy's own, which knows nothing of the store."""
    used: set[str] = set()
    for module in (vcr.stubs, aiohttp_stubs, httpx_stubs):
        for line in inspect.getsource(module).splitlines():
            for part in line.split("cassette.")[1:]:
                name = part.split("(")[0].split(")")[0].split(" ")[0].strip(":,'\"")
                used.add(name)

    assert used & set(dir(vcr.cassette.Cassette)) == {
        "append",
        "can_play_response_for",
        "filter_request",
        "find_requests_with_most_matches",
        "play_response",
        "write_protected",
    }


def test_the_record_modes_have_the_same_names() -> None:
    """Ours are vcrpy's, names and meaning."""
    assert {"none", "once", "new_episodes", "all"} <= {mode.value for mode in RecordMode}


def test_a_request_keeps_what_we_read_and_write() -> None:
    """`body_bytes` is the whole body, and an attribute of our own stays on the object."""
    request = Request("POST", "http://h/p", iter([b"a", b"b"]), {"X": "1"})
    request.llmbatch_sent = "ours"

    assert request.body_bytes == b"ab"
    assert (request.method, request.uri, request.host) == ("POST", "http://h/p", "h")
    assert dict(request.headers.items()) == {"X": "1"}
    assert request.llmbatch_sent == "ours"


def test_a_request_of_ask_is_one_that_vcrpy_would_have_made() -> None:
    """It is built without vcrpy's own initialisation, so each member that this one sets is compared."""
    arguments = ("POST", "http://h:81/p?q=1", b"body", {"X": ["1"]})
    sent = Sent(Call(values.Request("POST", "http://h:81/p", {}, b"body", b""), 0, 0, b""), None, None, 0)
    theirs, ours = Request(*arguments), AskedRequest(*arguments, sent)

    assert set(vars(theirs)) - {"parsed_uri"} <= set(vars(ours))
    for name in ("method", "uri", "url", "host", "port", "path", "query", "scheme", "body", "body_bytes"):
        assert getattr(theirs, name) == getattr(ours, name), name
    assert aiohttp_stubs._deserialize_headers(ours.headers) == {"X": "1"}
    assert aiohttp_stubs.Request is Request
    assert _parameters(aiohttp_stubs._build_cookie_header) == ["session", "cookies", "cookie_header", "url"]


def test_the_context_is_made_by_public_means() -> None:
    """`use(...)` hands its arguments to the class and calls `_load`."""
    assert isinstance(inspect.getattr_static(vcr.cassette.Cassette, "use"), classmethod)
    assert "path" in _parameters(vcr.cassette.Cassette.__init__)
    assert "record_mode" in _parameters(vcr.cassette.Cassette.__init__)


def test_the_functions_that_build_a_replayed_response_are_there() -> None:
    """A response that was just recorded is built by the same ones, so that the two are alike."""
    assert _parameters(aiohttp_stubs.build_response) == ["vcr_request", "vcr_response", "history"]
    assert _parameters(aiohttp_stubs._raise_for_status) == ["self", "raise_for_status", "response"]
    assert _parameters(httpx_stubs._deserialize_response) == ["vcr_response", "httpx"]


def test_the_functions_that_follow_redirects_are_there() -> None:
    """Ours stand in their places, and call the one that records a single response."""
    assert _parameters(aiohttp_stubs.play_responses) == ["cassette", "vcr_request", "kwargs"]
    assert _parameters(aiohttp_stubs.record_responses) == ["cassette", "vcr_request", "response"]
    assert _parameters(aiohttp_stubs.record_response) == ["cassette", "vcr_request", "response"]
    calls = inspect.getsource(aiohttp_stubs.vcr_request)
    assert "play_responses(cassette, vcr_request, kwargs)" in calls
    assert "await record_responses(cassette, vcr_request, response)" in calls


def test_the_stubs_look_force_reset_up_where_we_replace_it() -> None:
    """They import it from vcr.patch at each call; bound once at import, it would still un-patch threads."""
    sources = [inspect.getsource(module) for module in (vcr.stubs, aiohttp_stubs, httpx_stubs)]
    uses = sum(source.count("with force_reset()") for source in sources)

    assert uses == sources[0].count("from vcr.patch import force_reset") == 3
    assert not hasattr(vcr.stubs, "force_reset")


def test_every_function_that_really_sends_is_marked_and_put_back() -> None:
    """The guard lets through what runs under the mark: a function that vcrpy saves elsewhere would be refused."""
    sending = {
        "_AiohttpClientSessionRequest",
        "_Httpx2HttpTransport_handle_request",
        "_Httpx2AsyncHttpTransport_handle_async_request",
        "_Httpx2WsgiTransport_handle_request",
        "_Httpx2AsgiTransport_handle_async_request",
        "_Httpx2MockTransport_handle_request",
        "_Httpx2MockTransport_handle_async_request",
    }
    before = {name: getattr(vcr.patch, name) for name in saved_functions()}

    with real_connections_kept():
        inside = {name: getattr(vcr.patch, name) for name in before}

    assert sending <= before.keys()
    assert all(inside[name] is not before[name] for name in before)
    assert before == {name: getattr(vcr.patch, name) for name in before}


def test_what_vcrpy_patches_is_what_the_recorder_waits_for() -> None:
    """A library that vcrpy learns to patch must be watched, else the recorder may come after its first request."""
    known = {"httplib": "http.client", "boto3": "botocore"}

    assert {known.get(name, name) for name in vcr.patch.PATCHER_NAMES} <= CLIENTS


@pytest.mark.parametrize("library", SAVED_BY_VCRPY)
def test_what_shows_that_vcrpy_has_seen_a_library_is_there(library: str) -> None:
    """It passes over one that it could not import, in silence, and then records nothing of it."""
    source = inspect.getsource(vcr.patch)

    assert f"{SAVED_BY_VCRPY[library]} = " in source
    assert hasattr(vcr.patch, SAVED_BY_VCRPY[library]) == (importlib.util.find_spec(library) is not None)


def test_a_library_that_vcrpy_has_passed_over_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is sent, and with the library's name."""
    monkeypatch.delattr(vcr.patch, "_AiohttpClientSessionRequest")

    with Store(tmp_path / "tape") as store, pytest.raises(InternalError, match="aiohttp"), recording(store):
        pass


def test_a_connection_of_http_client_is_opened_inside_force_reset() -> None:
    """That is where we put the mark: of what a stub does, only this may reach a socket."""
    source = inspect.getsource(vcr.stubs.VCRConnection)
    marked = [block.split("\n\n")[0] for block in source.split("with force_reset():")[1:]]

    assert source.count("real_connection.connect(") == sum(block.count("real_connection.connect(") for block in marked)
    assert source.count("real_connection.request(") == sum(block.count("real_connection.request(") for block in marked)
    assert source.count("self._baseclass(") == sum(block.count("self._baseclass(") for block in marked)


def test_the_connection_remover_keeps_its_pools_where_we_replace_them() -> None:
    """Else every pool of a run is held until its end."""
    remover = vcr.patch.ConnectionRemover(object)

    assert remover._connection_pool_to_connections == {}


def test_aiohttp_has_the_members_we_complete_a_request_with() -> None:
    """They turn a relative URL, a JSON value and default headers into what is sent."""
    assert _parameters(aiohttp.ClientSession._build_url) == ["self", "str_or_url"]
    assert _parameters(aiohttp.ClientSession._prepare_headers) == ["self", "headers"]
    assert {"data", "json", "headers", "raise_for_status"} <= set(_parameters(aiohttp.ClientSession._request))
    assert inspect.iscoroutinefunction(aiohttp.payload.BytesPayload.as_bytes)


@pytest.mark.parametrize("ends_by_error", [False, True])
def test_all_patch_points_are_patched_inside_and_restored_after(tmp_path: Path, ends_by_error: bool) -> None:
    """Also when the run ends by an error."""
    points = PATCH_POINTS + OURS
    before = [inspect.getattr_static(owner, name) for owner, name in points]

    with contextlib.suppress(KeyError), Store(tmp_path / "tape") as store, recording(store):
        inside = [inspect.getattr_static(owner, name) for owner, name in points]
        assert vcr.patch.force_reset is passing_through
        if ends_by_error:
            raise KeyError

    after = [inspect.getattr_static(owner, name) for owner, name in points]
    unpatched = [point for point, old, new in zip(points, before, inside, strict=True) if old is new]
    assert unpatched == []
    assert after == before
