"""What each exception of an attempt means, and that no library's exception goes unnamed."""

from __future__ import annotations

import json
import socket
import ssl
from typing import Any

import aiohttp
import httpx2
import openai
import pytest
import requests
import urllib3.exceptions
from aiohttp.http_exceptions import BadHttpMessage
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from llmbatch.call.failure import FailureKind as Kind
from llmbatch.errors import NoAnswerRecorded
from llmbatch.policy import verdict_of_exception
from llmbatch.policy.exceptions import _VERDICTS


def family(root: type[BaseException]) -> list[type[BaseException]]:
    return [root, *(below for child in root.__subclasses__() for below in family(child))]


def unraised(kind: type[BaseException]) -> BaseException:
    """An instance without its constructor, whose arguments differ from class to class."""
    return kind.__new__(kind)


LEFT_TO_THE_ROOT = {
    # mistakes in the calling code
    *("StreamAlreadyConsumed", "APIRemovedInV1", "_AmbiguousModuleClientUsageError"),
    *("BodyNotHttplibCompatible", "LocationValueError", "UnrewindableBodyError", "TimeoutStateError", "HTTPWarning"),
}
ROOTS = (
    aiohttp.ClientError,
    openai.OpenAIError,
    httpx2.HTTPError,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
)


@pytest.mark.parametrize(
    "kind", [kind for root in ROOTS for kind in family(root)], ids=lambda kind: f"{kind.__module__}.{kind.__name__}"
)
def test_every_exception_of_the_http_libraries_has_a_verdict(kind: type[BaseException]) -> None:
    """A class that a new release adds is found here: the root of the library does not decide for it."""
    deciding = next(ancestor for ancestor in kind.__mro__ if ancestor.__name__ in _VERDICTS)
    verdict = verdict_of_exception(unraised(kind))

    assert deciding not in ROOTS or kind in ROOTS or kind.__name__ in LEFT_TO_THE_ROOT
    assert verdict.kind is not None
    assert not verdict.final


def test_the_openai_errors_exported_to_authors_are_all_judged() -> None:
    """`openai.__all__` is the list of what a task may meet."""
    exported = [getattr(openai, name) for name in openai.__all__ if name.endswith("Error")]

    assert len(exported) > 15
    assert all(verdict_of_exception(unraised(kind)).message for kind in exported)


def raised_from(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


REQUEST = httpx2.Request("POST", "http://h/v1/chat/completions")
UNTRUSTED = ssl.SSLCertVerificationError(1, "self-signed certificate")


def status_error(status: int, body: Any) -> openai.APIStatusError:
    response = httpx2.Response(status, request=REQUEST, content=json.dumps({"error": body}).encode())
    return openai.APIStatusError("x", response=response, body=body)


@pytest.mark.parametrize(
    ("error", "kind", "retry", "limit", "stop"),
    [
        (ConnectionRefusedError(111, "refused"), Kind.CONNECT_ERROR, "backoff", None, False),
        (socket.gaierror(-2, "unknown name"), Kind.CONNECT_ERROR, "backoff", None, False),
        (httpx2.ConnectTimeout("x"), Kind.CONNECT_ERROR, "backoff", None, False),
        (aiohttp.ConnectionTimeoutError("x"), Kind.CONNECT_ERROR, "backoff", None, False),
        (TimeoutError(), Kind.TIMEOUT, "backoff", 1, False),
        (aiohttp.SocketTimeoutError("x"), Kind.TIMEOUT, "backoff", 1, False),
        (openai.APITimeoutError(request=REQUEST), Kind.TIMEOUT, "backoff", 1, False),
        (aiohttp.ServerDisconnectedError(), Kind.TRUNCATED_BODY, "backoff", None, False),
        (aiohttp.ClientPayloadError("cut"), Kind.TRUNCATED_BODY, "backoff", None, False),
        (httpx2.RemoteProtocolError("cut"), Kind.TRUNCATED_BODY, "backoff", None, False),
        (ConnectionResetError(104, "reset"), Kind.TRUNCATED_BODY, "backoff", None, False),
        (UNTRUSTED, Kind.CONFIG_ERROR, "no", None, True),
        (raised_from(httpx2.ConnectError("x"), UNTRUSTED), Kind.CONFIG_ERROR, "no", None, True),
        (aiohttp.InvalidUrlClientError("h"), Kind.CONFIG_ERROR, "no", None, True),
        (httpx2.UnsupportedProtocol("x"), Kind.CONFIG_ERROR, "no", None, True),
        (status_error(429, {"code": "insufficient_quota"}), Kind.QUOTA, "no", None, True),
        (status_error(503, None), Kind.SERVER_ERROR, "global", None, False),
        (status_error(400, {"code": "context_length_exceeded"}), Kind.CONTEXT_LENGTH, "no", None, False),
        (NoAnswerRecorded("none"), Kind.NOT_RECORDED, "no", None, False),
        (ZeroDivisionError("x"), Kind.TASK_ERROR, "no", None, False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_each_exception_has_its_class_and_consequence(
    error: BaseException, kind: Kind, retry: str, limit: int | None, stop: bool
) -> None:
    """What was never sent is free to send again; what may have been paid for is sent again sparingly."""
    verdict = verdict_of_exception(error)

    assert (kind, retry, limit, stop) == (verdict.kind, verdict.retry, verdict.max_retries, verdict.stop)
    assert not verdict.final


def test_a_reply_that_cannot_be_read_is_not_taken_for_a_400() -> None:
    """aiohttp gives a garbled status line a 400 of its own; what answers is a mail server, or a broken proxy."""
    info = aiohttp.RequestInfo(URL("http://h"), "POST", CIMultiDictProxy(CIMultiDict()), URL("http://h"))
    garbled = aiohttp.ClientResponseError(info, (), status=400)

    assert verdict_of_exception(garbled).kind is Kind.BAD_REQUEST
    assert verdict_of_exception(raised_from(garbled, BadHttpMessage("x"))).kind is Kind.NOT_API


def test_a_wrapper_that_says_nothing_is_judged_by_its_cause() -> None:
    """The SDK calls every network error an APIConnectionError."""
    refused = raised_from(openai.APIConnectionError(request=REQUEST), httpx2.ConnectError("refused"))
    cut = raised_from(openai.APIConnectionError(request=REQUEST), httpx2.ReadError("cut"))

    assert verdict_of_exception(refused).kind is Kind.CONNECT_ERROR
    assert verdict_of_exception(cut).kind is Kind.TRUNCATED_BODY


def test_an_exception_caused_by_itself_is_still_judged() -> None:
    """A cycle of causes must not hang a run."""
    first, second = OSError("a"), OSError("b")
    first.__cause__, second.__cause__ = second, first

    assert verdict_of_exception(first).kind is Kind.CONNECT_ERROR


def test_what_an_error_says_of_a_proxy_is_without_its_password() -> None:
    """Messages go into the cassette's failures, the rows, the log and the terminal."""
    verdict = verdict_of_exception(OSError("cannot pass http://user:geheim@proxy.example:3128/x on"))

    assert verdict.message == "OSError: cannot pass http://proxy.example:3128/x on"


@pytest.mark.parametrize(
    ("status", "kind", "stop"),
    [(407, Kind.CONFIG_ERROR, True), (404, Kind.CONFIG_ERROR, True), (502, Kind.CONNECT_ERROR, False)],
)
def test_a_refusal_of_the_proxy_is_none_of_the_service(status: int, kind: Kind, stop: bool) -> None:
    """A proxy that is asked to connect answers for itself: its 404 says nothing about a model."""
    info = aiohttp.RequestInfo(URL("http://h"), "CONNECT", CIMultiDictProxy(CIMultiDict()), URL("http://h"))
    verdict = verdict_of_exception(aiohttp.ClientHttpProxyError(info, (), status=status))

    assert (kind, stop) == (verdict.kind, verdict.stop)


@pytest.mark.parametrize(
    ("error", "rule"),
    [
        (raised_from(httpx2.ConnectError("x"), socket.gaierror(-2, "unknown name")), "no such host"),
        (raised_from(httpx2.ConnectError("x"), ssl.SSLError(1, "wrong version number")), "no TLS"),
        (httpx2.RemoteProtocolError("illegal status line: bytearray(b'220 ready')"), "no HTTP"),
        (httpx2.ProxyError("407 Proxy Authentication Required"), "proxy refuses"),
        (aiohttp.InvalidUrlClientError("h"), "InvalidURL"),
    ],
)
def test_a_verdict_says_which_rule_decided(error: BaseException, rule: str) -> None:
    """Two libraries raise different errors where one setting is wrong, and a person needs that setting."""
    assert verdict_of_exception(error).rule == rule
