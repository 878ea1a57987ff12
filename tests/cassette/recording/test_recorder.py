"""The recorder under real HTTP libraries, against a real server and a real store."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import http.client
import inspect
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import httpx2
import openai
import pytest
import requests
import urllib3

from llmbatch.call.values import Reply
from llmbatch.cassette.case import CaseContext, Exchange, current_case, current_exchange
from llmbatch.cassette.recording.canary import CANARY_URL, was_caught
from llmbatch.cassette.recording.guard import unrecorded_refused
from llmbatch.cassette.recording.network import network_blocked
from llmbatch.cassette.recording.recorder import Recording, recording
from llmbatch.cassette.store import Mode, Store
from llmbatch.errors import AmbiguousDraw, NoAnswerRecorded, UnrecordedConnection, UsageError
from tests.support.origin import SSE, Origin, origin

NOON = datetime(2026, 1, 2, 12, 0, 0, 5, tzinfo=UTC)


class Seen(NamedTuple):
    """What a client shows its caller."""

    status: int
    reason: str | None
    headers: dict[str, str]
    body: bytes
    cookies: list[str] = []  # noqa: RUF012 - a NamedTuple's default, never changed


def _httpx2(url: str, body: bytes) -> Seen:
    with httpx2.Client(timeout=60) as client:  # many threads on a busy machine
        reply = client.post(url, content=body)
        return Seen(reply.status_code, reply.reason_phrase, dict(reply.headers), reply.content, [*reply.cookies])


async def _httpx2_async(url: str, body: bytes) -> Seen:
    async with httpx2.AsyncClient() as client:
        reply = await client.post(url, content=body)
        return Seen(reply.status_code, reply.reason_phrase, dict(reply.headers), reply.content, [*reply.cookies])


def _httpx2_streamed(url: str, body: bytes) -> Seen:
    with httpx2.Client() as client, client.stream("POST", url, content=body) as reply:
        read = b"".join(reply.iter_bytes())
        return Seen(reply.status_code, reply.reason_phrase, dict(reply.headers), read, [*reply.cookies])


async def _aiohttp(url: str, body: bytes) -> Seen:
    async with aiohttp.ClientSession() as session, session.post(url, data=body) as reply:
        return Seen(reply.status, reply.reason, dict(reply.headers), await reply.read(), [*reply.cookies])


async def _aiohttp_streamed(url: str, body: bytes) -> Seen:
    async with aiohttp.ClientSession() as session, session.post(url, data=body) as reply:
        read = b"".join([chunk async for chunk in reply.content.iter_any()])
        return Seen(reply.status, reply.reason, dict(reply.headers), read, [*reply.cookies])


def _requests(url: str, body: bytes) -> Seen:
    with requests.Session() as session:
        reply = session.post(url, data=body)
        return Seen(reply.status_code, reply.reason, dict(reply.headers), reply.content, [*reply.cookies])


def _urllib3(url: str, body: bytes) -> Seen:
    with urllib3.PoolManager() as pool:
        reply = pool.request("POST", url, body=body)
        return Seen(reply.status, reply.reason, dict(reply.headers), reply.data)


def _urllib(url: str, body: bytes) -> Seen:
    try:
        reply = urllib.request.urlopen(urllib.request.Request(url, body))
    except urllib.error.HTTPError as error:
        reply = error
    with reply:
        return Seen(reply.status, reply.reason, dict(reply.headers), reply.read())


CLIENTS = [_httpx2, _httpx2_async, _httpx2_streamed, _aiohttp, _aiohttp_streamed, _requests, _urllib3, _urllib]
Client = Callable[[str, bytes], Seen | Coroutine[Any, Any, Seen]]


def ask(client: Client, url: str, *bodies: bytes) -> list[Seen]:
    """Send requests one after another, in one thread and one task."""

    async def asked(body: bytes) -> Seen:
        seen = client(url, body)
        return seen if isinstance(seen, Seen) else await seen

    async def asked_all() -> list[Seen]:
        return [await asked(body) for body in bodies]

    if inspect.iscoroutinefunction(client):
        return asyncio.run(asked_all())
    return [seen for body in bodies if isinstance(seen := client(url, body), Seen)]


@pytest.fixture
def server() -> Iterator[Origin]:
    with origin() as server:
        yield server


class Tape:
    """Opens a recording on one folder, as often as a test wants; guarded as a run is, so that nothing goes past it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.warnings: list[str] = []

    @contextmanager
    def open(self, record_mode: Mode = "new_episodes") -> Iterator[Recording]:
        guard = network_blocked() if record_mode == "none" else unrecorded_refused([])
        with (
            Store(self.folder, record_mode=record_mode) as store,
            recording(store, clock=lambda: NOON, on_warning=self.warnings.append) as opened,
            guard,
        ):
            yield opened


@pytest.fixture
def tape(tmp_path: Path) -> Tape:
    return Tape(tmp_path / "tape")


@contextmanager
def case(repeat: int = 0, *, rehearsal: bool = False) -> Iterator[CaseContext]:
    context = CaseContext("task[variant]::sample", repeat, rehearsal=rehearsal)
    token = current_case.set(context)
    try:
        yield context
    finally:
        current_case.reset(token)


# live and replayed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/plain", "/gzip", "/sse"])
@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_sees_the_same_live_and_replayed(client: Client, path: str, server: Origin, tape: Tape) -> None:
    """The reply is read back from the line just written, so a cookie or an internal header never arrives."""
    with tape.open():
        (live,) = ask(client, server.url + path, b'{"q": 1}')
    with tape.open("none"):
        (replayed,) = ask(client, server.url + path, b'{"q": 1}')

    assert live == replayed
    assert live[:2] == (200, "Said So")
    assert {"content-type", "x-request-id"} == {name.lower() for name in live.headers}
    assert live.cookies == []
    assert len(server.bodies) == 1
    assert live.body == SSE if path == "/sse" else live.body.startswith(b'{"number": 0')


@pytest.mark.parametrize("client", CLIENTS)
def test_clients_share_one_recording(client: Client, server: Origin, tape: Tape) -> None:
    """What is recorded is HTTP, not a library's view of it."""
    with tape.open():
        recorded = _requests(server.url + "/gzip", b"same")
    with tape.open("none"):
        (replayed,) = ask(client, server.url + "/gzip", b"same")

    assert recorded.body == replayed.body


@pytest.mark.parametrize("client", CLIENTS)
def test_a_miss_where_nothing_may_be_sent_says_so(client: Client, server: Origin, tape: Tape) -> None:
    """Out of the client comes our error, not vcrpy's and not a connection error."""
    url = server.url + "/v1/embeddings"

    with tape.open("none"), case(), pytest.raises(NoAnswerRecorded) as caught:
        ask(client, url, b"x")

    assert f"no recorded answer for POST {url}" == caught.value.what
    assert {"case": "task[variant]::sample", "mode": "none"}.items() <= caught.value.details.items()
    assert "fix" in caught.value.details
    assert server.bodies == []


async def test_the_sdk_does_not_try_a_miss_again(server: Origin, tape: Tape) -> None:
    """It retries what it takes for a connection error; ours is none."""
    client = openai.AsyncOpenAI(api_key="none", base_url=server.url + "/v1", max_retries=5)

    with tape.open("none"), case() as context, pytest.raises(NoAnswerRecorded):
        await client.models.list()
    await client.close()

    assert context.replies == []


@pytest.mark.parametrize("client", CLIENTS)
def test_a_failure_reaches_the_client_as_it_came_and_is_no_answer(client: Client, server: Origin, tape: Tape) -> None:
    """Audit keeps it, a replay does not serve it, and says how the last attempt ended."""
    server.statuses = [503]

    with tape.open() as opened, case() as context:
        status = ask(client, server.url + "/x", b"q")[0].status
        recorded = len(opened.store)
    with tape.open("none"), case() as offline, pytest.raises(NoAnswerRecorded) as caught:
        ask(client, server.url + "/x", b"q")

    assert (status, recorded) == (503, 0)
    assert [str(failure.kind) for failure in context.failures] == ["server_error"]
    assert [str(failure.kind) for failure in offline.failures] == ["server_error"]
    assert "server_error" in caught.value.details["failure"]


@pytest.mark.parametrize("client", [_httpx2, _urllib])
def test_a_body_that_was_cut_is_no_answer(client: Client, server: Origin, tape: Tape) -> None:
    """gzip without its end: the next run asks again. (urllib3 and aiohttp decode before they hand on.)"""
    with tape.open() as opened, case() as context:
        with contextlib.suppress(httpx2.DecodingError):
            ask(client, server.url + "/cut", b"q")
        recorded = len(opened.store)

    assert recorded == 0
    assert [str(failure.kind) for failure in context.failures] == ["truncated_body"]


def test_the_time_of_an_answer_is_the_clocks(server: Origin, tape: Tape) -> None:
    """ISO 8601 in UTC, and whole microseconds from send to last byte."""
    with tape.open(), case() as context:
        _httpx2(server.url, b"")

    assert context.replies[0].recorded_at == "2026-01-02T12:00:00.000005Z"
    assert context.replies[0].taken_us > 0


# draws ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", CLIENTS)
def test_equal_requests_of_a_case_are_draws_in_order(client: Client, server: Origin, tape: Tape) -> None:
    """The second one is asked, not served the first one's answer."""
    with tape.open(), case() as context:
        live = [seen.body for seen in ask(client, server.url, b"q", b"q", b"q")]
    with tape.open("none"), case() as offline:
        replayed = [seen.body for seen in ask(client, server.url, b"q", b"q", b"q")]

    assert live == replayed
    assert len(set(live)) == 3
    assert (context.paid, context.cached) == (3, 0)
    assert (offline.paid, offline.cached) == (0, 3)


def test_repeats_are_asked_apart_and_cases_share(server: Origin, tape: Tape) -> None:
    """The key holds the repeat, and not the case."""
    bodies = []
    with tape.open():
        for repeat in (0, 0, 1):
            with case(repeat):
                bodies.append(_requests(server.url, b"q").body)

    assert bodies[0] == bodies[1] != bodies[2]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_retry_after_a_failure_asks_for_the_same_draw(client: Client, server: Origin, tape: Tape) -> None:
    """So that the replay, which never sees the failure, finds its answer."""
    server.statuses = [429]

    with tape.open(), case() as context:
        failed, live = ask(client, server.url, b"q", b"q")
    with tape.open("none"), case():
        (replayed,) = ask(client, server.url, b"q")

    assert failed.status == 429
    assert live == replayed
    assert context.failures == []


def test_a_retry_after_a_refused_connection_asks_for_the_same_draw(server: Origin, tape: Tape) -> None:
    """No response came, so nothing was appended; the attempt must end all the same, and is on file."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    with tape.open() as opened, case() as context:
        for client in (_httpx2, _requests, _urllib):
            for _ in range(2):
                with pytest.raises((httpx2.ConnectError, OSError)):
                    client(f"http://127.0.0.1:{port}/{client.__name__}", b"q")
        failed = [failure.kind for failure in opened.store.failures()]

    assert failed == ["connect_error"] * 3
    assert [str(failure.kind) for failure in context.failures] == ["connect_error"] * 3


async def test_a_cancelled_request_is_no_failure_of_the_service(server: Origin, tape: Tape) -> None:
    """The author's own deadline ended it; asked again, it is the same draw."""
    with tape.open() as opened, case() as context:
        async with httpx2.AsyncClient() as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await client.get(server.url)
            reply = await client.get(server.url)
        failures = list(opened.store.failures())

    assert reply.status_code == 200
    assert failures == []
    assert context.failures == []


async def test_equal_requests_at_once_are_ambiguous(server: Origin, tape: Tape) -> None:
    """Nothing says which of the two is draw 0; the error reaches the author through the client."""
    with tape.open(), case():
        async with httpx2.AsyncClient() as client:
            outcomes = await asyncio.gather(client.get(server.url), client.get(server.url), return_exceptions=True)

    assert [httpx2.Response, AmbiguousDraw] == [type(outcome) for outcome in outcomes]


@pytest.mark.parametrize("library", ["httpx2", "aiohttp"])
async def test_a_late_duplicate_is_given_the_first_line(library: str, server: Origin, tape: Tape) -> None:
    """Two cases with one key send at the same time: both must show what a replay shows."""

    async def ask() -> bytes:
        with case():
            if library == "httpx2":
                async with httpx2.AsyncClient() as client:
                    return (await client.get(server.url)).content
            async with aiohttp.ClientSession() as session, session.get(server.url) as reply:
                return await reply.read()

    with tape.open() as opened:
        bodies = await asyncio.gather(ask(), ask())
        recorded, failures = len(opened.store), list(opened.store.failures())

    assert len(server.bodies) == 2
    assert bodies[0] == bodies[1]
    assert recorded == 1
    assert [failure.kind for failure in failures] == ["duplicate"]


# ask's own calls -----------------------------------------------------------------------------------------


async def test_an_exchange_binds_the_draw_and_gets_the_reply(server: Origin, tape: Tape) -> None:
    """`ask` counts its draws when it is called; the recorder files under that call."""
    with tape.open() as opened, case() as context:
        asked = opened.store.request("POST", server.url + "/gzip", {}, b"q")
        exchange = Exchange(opened.store.call(asked, 4, 2))
        current_exchange.set(exchange)
        async with aiohttp.ClientSession() as session, session.post(server.url + "/gzip", data=b"q") as live:
            seen = dict(live.headers)
        assert exchange.call is not None
        found = opened.store.find(exchange.call.key)
        again = Exchange(exchange.call)
        current_exchange.set(again)
        async with aiohttp.ClientSession() as session:
            await session.post(server.url + "/gzip", data=b"q")

    assert found is not None
    assert found == exchange.reply == again.reply
    assert (exchange.replayed, again.replayed) == (False, True)
    assert "X-Internal" in seen, "nothing is built that nobody reads"
    assert (context.paid, context.cached) == (0, 0), "`ask` notes what its calls came to: one of two equal calls"
    assert context.draw(asked.digest) == 0, "no draw was counted for it"


@pytest.mark.parametrize("status", [200, 302, 400, 429, 500])
async def test_a_request_that_is_known_is_recorded_as_one_that_is_not(status: int, server: Origin, tape: Tape) -> None:
    """`ask` says which object it sends, so that the recorder need not look. What comes of it is the same."""
    server.canned["/said"] = (
        {"content-type": "application/json", "x-request-id": "r", "x-internal": "yes"},
        b'{"a":1}',
    )
    server.statuses = [status] * 3
    body, came = b'{"b":1}', []

    with tape.open() as opened:
        for draw, wire in ((0, None), (1, body), (1, body)):
            with case():
                asked = opened.store.request("POST", server.url + "/said", {}, body)
                exchange = Exchange(opened.store.call(asked, 0, draw), wire=wire)
                current_exchange.set(exchange)
                async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
                    await session.post(server.url + "/said", data=body, allow_redirects=False)
            assert exchange.reply is not None
            reply = (exchange.reply.status, exchange.reply.headers, exchange.reply.body, exchange.reply.reason)
            failed = None if exchange.failure is None else (exchange.failure.kind, exchange.failure.message)
            came.append((reply, failed, exchange.replayed))
        kept = [one.call.request for one in opened.store] or [one.call.request for one in opened.store.failures()]

    final = status in (200, 302, 400)
    assert came[0] == came[1]
    assert came[2] == ((*came[1][:2], True) if final else came[1])
    assert kept[0] == kept[1]
    assert len(server.bodies) == (2 if final else 3)


async def test_an_exchange_is_told_of_a_failure(server: Origin, tape: Tape) -> None:
    """With the live reply: its Retry-After decides what follows."""
    server.statuses = [429]

    with tape.open() as opened, case() as context:
        asked = opened.store.request("GET", server.url, {}, None)
        exchange = Exchange(opened.store.call(asked, 0, 0))
        current_exchange.set(exchange)
        async with aiohttp.ClientSession() as session:
            await session.get(server.url)

    assert exchange.reply is not None
    assert exchange.failure is not None
    assert (exchange.reply.status, exchange.failure.kind) == (429, "rate_limited")
    assert exchange.reply.headers["x-internal"] == ("yes",)
    assert context.failures == [], "what follows from it is for ask to say"


async def test_an_exchange_does_not_catch_other_requests(server: Origin, tape: Tape) -> None:
    """A token refresh inside of a client is a request of its own."""
    with tape.open() as opened, case():
        asked = opened.store.request("GET", server.url + "/asked", {}, None)
        exchange = Exchange(opened.store.call(asked, 3, 3))
        current_exchange.set(exchange)
        async with aiohttp.ClientSession() as session:
            await session.get(server.url + "/other")
        calls = [interaction.call for interaction in opened.store]

    assert exchange.reply is None
    assert [(call.request.url.removeprefix(server.url), call.repeat, call.ordinal) for call in calls] == [
        ("/other", 0, 0)
    ]


# requests as they go over the wire -----------------------------------------------------------------------


async def test_aiohttp_requests_are_recorded_as_sent(server: Origin, tape: Tape) -> None:
    """A JSON value and a form of the same mapping are two requests; `base_url` is part of the URL."""
    with tape.open() as opened:
        async with aiohttp.ClientSession(server.url + "/v1/") as session:
            await session.post("json", json={"a": "b"})
            await session.post("form", data={"a": "b"})
            await session.post("text", data="\u00e4")
            files = aiohttp.FormData()
            files.add_field("f", b"\x00\xff", filename="f.bin")
            await session.post("file", data=files)
        recorded = {one.call.request.url: one.call.request for one in opened.store}

    url = server.url + "/v1/"
    assert {url + name for name in ("json", "form", "text", "file")} == set(recorded)
    for request, sent in zip(recorded.values(), server.bodies, strict=True):
        assert sent == request.body
    assert recorded[url + "json"].headers["content-type"] == ("application/json",)
    assert recorded[url + "form"].headers["content-type"] == ("application/x-www-form-urlencoded",)
    assert recorded[url + "file"].headers["content-type"][0].startswith("multipart/form-data; boundary=")


async def test_a_form_with_another_boundary_is_the_same_request(server: Origin, tape: Tape) -> None:
    """aiohttp draws a boundary at random for each request."""

    async def upload() -> bytes:
        files = aiohttp.FormData()
        files.add_field("f", b"\x00\xff", filename="f.bin")
        async with aiohttp.ClientSession() as session, session.post(server.url, data=files) as reply:
            return await reply.read()

    with tape.open():
        recorded = await upload()
    with tape.open("none"):
        replayed = await upload()

    assert recorded == replayed


async def test_aiohttp_raises_for_status_of_the_response_it_returns(server: Origin, tape: Tape) -> None:
    """The recorder looks at the response before the caller's wish is granted."""
    server.statuses = [400]

    with tape.open() as opened:
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            with pytest.raises(aiohttp.ClientResponseError) as live:
                await session.get(server.url)
            with pytest.raises(aiohttp.ClientResponseError) as replayed:
                await session.get(server.url)
        recorded = len(opened.store)

    assert (live.value.status, replayed.value.status) == (400, 400)
    assert recorded == 1


@pytest.mark.parametrize("library", ["httpx2", "aiohttp", "requests"])
async def test_redirects_are_followed_in_a_replay(library: str, server: Origin, tape: Tape) -> None:
    """Each step is an interaction of its own."""

    async def follow() -> tuple[int, str, bytes]:
        url = server.url + "/redirect"
        if library == "requests":
            got = requests.get(url)  # noqa: ASYNC210 - the test has nothing else to run
            return got.status_code, got.url, got.content
        if library == "httpx2":
            async with httpx2.AsyncClient(follow_redirects=True) as client:
                reply = await client.get(url)
                return reply.status_code, str(reply.url), reply.content
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status, str(response.url), await response.read()

    with tape.open() as opened:
        live = await follow()
        recorded = len(opened.store)
    with tape.open("none"):
        replayed = await follow()

    assert recorded == 2
    assert live == replayed
    assert live[:2] == (200, server.url + "/target")


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_what_was_posted_is_told_apart_behind_a_redirect(method: str, server: Origin, tape: Tape) -> None:
    """A 307 keeps method and body, as web frameworks send it where a slash is missing; vcrpy's stub drops both."""
    server.away = server.url + "/there/"

    async def ask() -> list[tuple[int, str, int]]:
        found = []
        async with aiohttp.ClientSession() as session:
            for number in (1, 2):
                async with session.request(method, server.url + "/away", json={"n": number}) as reply:
                    found.append((reply.status, reply.method, len(reply.history)))
        return found

    with tape.open() as opened:
        live = await ask()
        recorded = [(each.call.request.method, each.call.request.body) for each in opened.store]
    with tape.open("none"):
        replayed = await ask()

    assert [(method, b'{"n": 1}')] * 2 + [(method, b'{"n": 2}')] * 2 == recorded
    assert [(200, method, 1)] * 2 == live
    assert live == replayed


async def test_what_failed_behind_a_redirect_is_asked_again(server: Origin, tape: Tape) -> None:
    """A recorded redirect would lead every later run to an answer that is not there."""
    server.away = server.url + "/there"
    server.statuses = [307, 503]
    found = []

    with tape.open() as opened:
        async with aiohttp.ClientSession() as session:
            for _ in range(3):
                async with session.post(server.url + "/away", json={"n": 1}) as reply:
                    found.append((reply.status, len(reply.history)))
        recorded = [each.reply.status for each in opened.store]

    assert [(503, 1), (200, 1), (200, 1)] == found
    assert [200, 307] == recorded
    assert 4 == len(server.bodies)


async def test_recorded_redirects_do_not_go_round_for_ever(server: Origin, tape: Tape) -> None:
    """A cassette may come from anybody."""
    with tape.open() as opened:
        request = opened.store.request("GET", server.url + "/round", {}, None)
        opened.store.record(opened.store.call(request, 0, 0), Reply(302, "", {"location": ("/round",)}, b""))
    with tape.open("none"):
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.TooManyRedirects):
                await session.get(server.url + "/round")


@pytest.mark.parametrize("library", ["httpx2", "aiohttp", "requests"])
async def test_a_key_never_reaches_the_host_of_a_redirect(library: str, server: Origin, tape: Tape) -> None:
    """The libraries take it off when the host changes, and the recorder does not put it on again."""
    headers, url = {"Authorization": "Bearer canary-of-the-wire"}, server.url + "/away"

    with origin() as other, tape.open() as opened:
        server.away = other.url + "/there"
        if library == "requests":
            requests.get(url, headers=headers)  # noqa: ASYNC210 - the test has nothing else to run
        elif library == "httpx2":
            async with httpx2.AsyncClient(follow_redirects=True) as client:
                await client.get(url, headers=headers)
        else:
            async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as reply:
                await reply.read()
        recorded = len(opened.store)
        first, second = server.seen, other.seen

    assert (1, 1, 2) == (len(first), len(second), recorded)
    assert "authorization" in first[0]
    assert "authorization" not in second[0]


# threads -------------------------------------------------------------------------------------------------


def test_of_64_threads_no_request_is_lost(server: Origin, tape: Tape) -> None:
    """vcrpy alone takes its patches away from all threads while one of them connects."""
    sessions = threading.local()

    def ask(number: int) -> bytes:
        if not hasattr(sessions, "one"):
            sessions.one = requests.Session()
        session: requests.Session = sessions.one
        if number % 4 == 0:  # a new connection, which is when it used to happen
            session.close()
        return session.post(server.url, data=b"%d" % number).content

    with tape.open() as opened:
        with ThreadPoolExecutor(64) as pool:
            bodies = list(pool.map(ask, range(2_000)))
        recorded = len(opened.store)

    assert 2_000 == recorded == len(server.bodies) == len(set(bodies))


def test_of_threads_with_several_libraries_and_a_loop_beside_no_request_is_lost(server: Origin, tape: Tape) -> None:
    """urllib3 and requests share classes that vcrpy patches, httpx2 and aiohttp have their own: all at once."""
    clients: list[Callable[[str, bytes], Seen]] = [_requests, _urllib3, _httpx2, _urllib]

    def ask(number: int) -> bytes:
        return clients[number % 4](f"{server.url}/{number % 4}", b"%d" % number).body

    async def ask_beside(numbers: range) -> list[bytes]:
        async with aiohttp.ClientSession() as session:

            async def one(number: int) -> bytes:
                async with session.post(f"{server.url}/loop", data=b"%d" % number) as reply:
                    return await reply.read()

            return await asyncio.gather(*map(one, numbers))

    with tape.open() as opened:
        with ThreadPoolExecutor(65) as pool:
            beside = pool.submit(lambda: asyncio.run(ask_beside(range(60))))
            bodies = list(pool.map(ask, range(240))) + beside.result()
        recorded = len(opened.store)

    assert 300 == recorded == len(server.bodies) == len(set(bodies))


def test_a_thread_without_the_context_is_recorded_under_no_case(server: Origin, tape: Tape) -> None:
    """It is recorded all the same, and one warning a host says why its draws are not counted."""

    def ask() -> None:
        for _ in range(2):
            _requests(server.url, b"q")

    with tape.open() as opened, case() as context:
        lost = threading.Thread(target=ask)
        lost.start()
        lost.join()
        kept = threading.Thread(target=contextvars.copy_context().run, args=(ask,))
        kept.start()
        kept.join()
        interactions = list(opened.store)

    assert [(one.case, one.call.ordinal) for one in interactions] == [(None, 0), ("task[variant]::sample", 1)]
    assert (context.paid, context.cached) == (1, 1)
    assert len(tape.warnings) == 1
    assert server.url.removeprefix("http://") in tape.warnings[0]


@pytest.mark.parametrize("client", [_urllib, _requests, _urllib3])
def test_an_https_connection_can_be_made(client: Client, server: Origin, tape: Tape) -> None:
    """http.client's own class looks its name up in its module, where vcrpy has put the stub."""
    url = server.url.replace("http:", "https:")

    with tape.open(), pytest.raises((OSError, urllib3.exceptions.HTTPError), match="WRONG_VERSION_NUMBER"):
        ask(client, url, b"")  # it reached the server, which speaks no TLS


def test_connection_pools_are_not_kept(server: Origin, tape: Tape) -> None:
    """vcrpy holds each pool until the end: a session a request would fill the memory of a long run."""
    with tape.open():
        for number in range(20):
            _requests(server.url, b"%d" % number)
        gc.collect()
        living = [thing for thing in gc.get_objects() if type(thing) is urllib3.HTTPConnectionPool]

    assert len(living) < 5


# one a run -----------------------------------------------------------------------------------------------


def test_a_second_recording_is_refused(tape: Tape, tmp_path: Path) -> None:
    """vcrpy patches classes: nested contexts mix and leak. After the first has ended, another may start."""
    with tape.open("none"), pytest.raises(UsageError, match="open already"), Tape(tmp_path / "b").open():
        pass

    with tape.open("none"):
        pass


@pytest.mark.parametrize("client", CLIENTS)
def test_a_canary_is_caught(client: Client, tape: Tape) -> None:
    """A client library that is intercepted shows it before anything is paid, in any mode, and leaves no line."""
    with tape.open("none") as opened:
        (seen,) = ask(client, CANARY_URL + client.__name__, b"")
        caught, recorded = was_caught(CANARY_URL + client.__name__), len(opened.store)

    assert (caught, seen.status, recorded) == (True, 200, 0)
    assert not was_caught(CANARY_URL + client.__name__), "each canary counts once"


def test_a_rehearsal_sends_nothing(server: Origin, tape: Tape) -> None:
    """It may look up, whatever the run's mode is."""
    with tape.open():
        with case():
            recorded = _requests(server.url, b"a")
        with case(rehearsal=True):
            found = _requests(server.url, b"a")
            with pytest.raises(NoAnswerRecorded):
                _requests(server.url, b"b")

    assert recorded == found
    assert len(server.bodies) == 1


def test_names_bound_before_are_recorded(server: Origin, tape: Tape) -> None:
    """`from http.client import HTTPConnection` at the top of a file has the real class, whatever is patched later."""
    host, port = server.server_address[:2]

    def ask() -> bytes:
        connection = HTTPConnection(str(host), int(port))
        connection.request("POST", "/", b"q")
        with contextlib.closing(connection):
            return connection.getresponse().read()

    assert HTTPConnection is http.client.HTTPConnection
    with tape.open() as opened:
        assert HTTPConnection is not http.client.HTTPConnection
        live = ask()
        recorded = len(opened.store)
    with tape.open("none"):
        replayed = ask()
    after = ask()

    assert (1, 2) == (recorded, len(server.bodies))
    assert live == replayed != after


class _Subclass(HTTPConnection):
    """As httplib2 has them: made before anything is patched, and naming its base by its module."""

    def __init__(self, host: str, port: int) -> None:
        http.client.HTTPConnection.__init__(self, host, port)


def test_a_subclass_made_before_is_refused_and_not_broken(server: Origin, tape: Tape) -> None:
    """What vcrpy does not patch goes its own way, which is past the recorder."""
    host, port = server.server_address[:2]

    with tape.open(), pytest.raises(UnrecordedConnection):
        _Subclass(str(host), int(port)).request("GET", "/")

    assert server.bodies == []


def test_a_name_bound_meanwhile_sends_plainly_after_the_end(server: Origin, tape: Tape) -> None:
    """A module that is imported in a run may keep the stub for the life of the process."""
    host, port = server.server_address[:2]
    with tape.open():
        bound = http.client.HTTPConnection
    connection = bound(str(host), int(port))
    connection.request("GET", "/")
    reply = connection.getresponse()
    connection.close()

    assert reply.status == 200
    assert len(server.bodies) == 1


def test_after_the_end_requests_are_plain_again(server: Origin, tape: Tape) -> None:
    """Nothing is patched any more, and live headers arrive."""
    with tape.open():
        _requests(server.url, b"q")

    seen: list[Any] = [client(server.url, b"q").headers for client in (_requests, _urllib, _urllib3)]

    assert all("X-Internal" in headers for headers in seen)
    assert len(server.bodies) == 4
