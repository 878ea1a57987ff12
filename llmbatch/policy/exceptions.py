"""The rules for errors raised while a call is made, by the names of their classes.

Names, so that no network library is imported to judge one's error, and so that the libraries a task may use
(aiohttp, httpx, httpx2, requests, urllib3, openai) are judged alike. An exception is never an answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from llmbatch.call.failure import FailureKind as Kind
from llmbatch.call.values import Reply
from llmbatch.policy.bodies import status_of_error
from llmbatch.policy.replies import verdict_of_reply
from llmbatch.policy.timeouts import NotInTime
from llmbatch.policy.verdict import Verdict

_CONNECT = Verdict(Kind.CONNECT_ERROR, retry="backoff")
_CUT = Verdict(Kind.TRUNCATED_BODY, retry="backoff")  # may have been billed
_TIMEOUT = Verdict(Kind.TIMEOUT, retry="backoff", max_retries=1)  # may have been billed
_SERVER = Verdict(Kind.SERVER_ERROR, retry="backoff")
_CONFIG = Verdict(Kind.CONFIG_ERROR, stop=True)
_AUTH = Verdict(Kind.AUTH, stop=True)
_INVALID = Verdict(Kind.INVALID_JSON, retry="backoff", max_retries=2)
_NOT_API = Verdict(Kind.NOT_API, retry="backoff", max_retries=2)
_NOT_RECORDED = Verdict(Kind.NOT_RECORDED)
_OURS = Verdict(Kind.TASK_ERROR)

_PASSING_OF_PROXY = frozenset({502, 503, 504})
_CERTIFICATE = (
    "SSLCertVerificationError",
    "CertificateError",
    "ClientConnectorCertificateError",
    "ServerFingerprintMismatch",
)

_VERDICTS: Mapping[str, Verdict] = {
    # nothing was sent
    **dict.fromkeys(
        (
            "ClientConnectorError",
            "ConnectError",
            "ConnectTimeout",
            "ConnectionTimeoutError",
            "ConnectTimeoutError",
            "NoConnectionInTime",
        ),
        _CONNECT,
    ),
    **dict.fromkeys(("ConnectionRefusedError", "gaierror", "herror", "NameResolutionError", "PoolTimeout"), _CONNECT),
    **dict.fromkeys(
        ("ClientSSLError", "ClientConnectorDNSError", "SSLError", "NewConnectionError", "MaxRetryError", "OSError"),
        _CONNECT,
    ),
    **dict.fromkeys(("ProxyError", "ClientProxyConnectionError", "ConnectionError", "PoolError"), _CONNECT),
    # the connection broke while the service may have been working
    **dict.fromkeys(
        ("ClientOSError", "ClientConnectionError", "ServerConnectionError", "ServerDisconnectedError"), _CUT
    ),
    **dict.fromkeys(("ConnectionResetError", "ConnectionAbortedError", "BrokenPipeError", "SSLEOFError"), _CUT),
    **dict.fromkeys(("ClientPayloadError", "UploadAbortedError", "IncompleteReadError", "IncompleteRead"), _CUT),
    **dict.fromkeys(("NetworkError", "RemoteProtocolError", "ProtocolError", "HTTPException"), _CUT),
    **dict.fromkeys(("DecodingError", "ContentDecodingError", "DecodeError", "ChunkedEncodingError", "SSEError"), _CUT),
    **dict.fromkeys(
        (
            "HttpProcessingError",
            "ResponseError",
            "InvalidChunkLength",
            "HeaderParsingError",
            "StreamError",
            "WebSocketConnectionClosedError",
        ),
        _CUT,
    ),
    **dict.fromkeys(("APIConnectionError", "TransportError", "RequestError", "HTTPError", "ClientError"), _CUT),
    **dict.fromkeys(("TimeoutError", "TimeoutException", "ServerTimeoutError", "APITimeoutError", "Timeout"), _TIMEOUT),
    # a reply without a status that could be read
    **dict.fromkeys(("ClientResponseError", "HTTPStatusError", "APIError", "APIStatusError"), _SERVER),
    # a setting is wrong
    **dict.fromkeys(
        (*_CERTIFICATE, "InvalidURL", "LocationParseError", "UnsupportedProtocol", "LocalProtocolError"),
        _CONFIG,
    ),
    **dict.fromkeys(
        ("NonHttpUrlClientError", "RedirectClientError", "TooManyRedirects", "MissingSchema", "URLSchemeUnknown"),
        _CONFIG,
    ),
    **dict.fromkeys(("InvalidSchema", "InvalidHeader", "ProxySchemeUnknown", "MutuallyExclusiveAuthError"), _CONFIG),
    **dict.fromkeys(("SubjectTokenProviderError", "OAuthError"), _AUTH),
    # a reply that is no answer
    "ContentTypeError": _NOT_API,
    "APIResponseValidationError": _INVALID,
    "JSONDecodeError": _INVALID,
    "ReplyTooLarge": Verdict(Kind.TOO_LARGE),
    # a paid answer the SDK would not hand on: a result, so never asked again
    "LengthFinishReasonError": Verdict(Kind.TRUNCATED),
    "ContentFilterFinishReasonError": Verdict(Kind.CONTENT_FILTER),
    # ours, vcrpy's, and mistakes in the calling code
    "NoAnswerRecorded": _NOT_RECORDED,
    "CannotOverwriteExistingCassetteException": _NOT_RECORDED,
    **dict.fromkeys(("InvalidWebhookSignatureError", "WebSocketQueueFullError", "OpenAIError"), _OURS),
}
_RULES: Mapping[str, str] = {
    **dict.fromkeys(("ProxyError", "ClientProxyConnectionError"), "no proxy"),
    **dict.fromkeys(("gaierror", "herror", "NameResolutionError", "ClientConnectorDNSError"), "no such host"),
    **dict.fromkeys(("ClientSSLError", "SSLError", "ClientConnectorSSLError"), "no TLS"),
}
"""What tells apart why a connection could not be made."""
_FALLBACK = _OURS
_USER_IN_URL = re.compile(r"//[^/\s@'\"]+@")
_WRAPPERS = frozenset({"APIConnectionError", "MaxRetryError"})  # say nothing that their cause does not say better


def verdict_of_exception(error: BaseException) -> Verdict:
    """Say what an exception raised by an attempt means; never final. An unknown one is the task's own."""
    verdict = _of_status(error) or _of_name(error) or _FALLBACK
    return verdict._replace(final=False, message=verdict.message or _message_of(error))


def _of_status(error: BaseException) -> Verdict | None:
    """Judge an error that carries a reply (`raise_for_status`, the SDK's status errors) as that reply."""
    response = getattr(error, "response", None)
    body = getattr(error, "body", None)
    status = _first_int(getattr(error, "status_code", None), getattr(response, "status_code", None))
    if status is None and _is_a(error, "ClientResponseError"):
        if any(_is_a(link, "HttpProcessingError") for link in _chain(error)):
            return _NOT_API._replace(rule="no HTTP")  # the status is aiohttp's own: no status could be read
        if _is_a(error, "ClientHttpProxyError"):
            return _of_proxy(_first_int(getattr(error, "status", None)))
        status = _first_int(getattr(error, "status", None))
    if status is None and body and type(error).__name__ == "APIError":  # an error event inside a stream
        status = status_of_error(body)
    if status is None or status < 300:
        return None
    headers = {
        str(name).lower(): (str(value),) for name, value in dict(getattr(response, "headers", None) or {}).items()
    }
    reply = Reply(status, "", headers, _body_bytes(body, response))
    return verdict_of_reply(reply, url="/chat/completions")


def _of_proxy(status: int | None) -> Verdict:
    """Judge what a proxy says that was asked to connect: the service itself said nothing."""
    return _CONNECT if status in _PASSING_OF_PROXY else _CONFIG._replace(rule="proxy refuses")


def _message_of(error: BaseException) -> str:
    if isinstance(error, NotInTime):
        return str(error)
    name = type(error).__name__
    try:
        said = " ".join(str(error).split())[:300]
    except Exception:  # noqa: BLE001  a library's error that cannot say what it is must not hide what happened
        said = ""
    said = _USER_IN_URL.sub("//", said)  # aiohttp quotes a proxy with its password
    return f"{name}: {said}" if said else name


def _of_name(error: BaseException) -> Verdict | None:
    chain = list(_chain(error))
    if any(_is_a(link, *_CERTIFICATE) for link in chain):
        return _CONFIG._replace(rule="certificate")
    said = str(error) if _is_a(error, "ProxyError", "RemoteProtocolError") else ""
    if "illegal status line" in said:  # as h11 words it
        return _NOT_API._replace(rule="no HTTP")
    if _is_a(error, "ProxyError") and said[:3].isdecimal():
        return _of_proxy(int(said[:3]))
    specific = next((link for link in chain if type(link).__name__ not in _WRAPPERS), error)
    for link in (specific, error):
        for ancestor in type(link).__mro__:
            if ancestor.__name__ in _VERDICTS:
                verdict = _VERDICTS[ancestor.__name__]
                return verdict._replace(rule=_cause_of(chain) if verdict is _CONNECT else ancestor.__name__)
    return None


def _cause_of(chain: list[BaseException]) -> str:
    """Return what kept a connection from being made, as the innermost error that says it knows."""
    names = [ancestor.__name__ for link in reversed(chain) for ancestor in type(link).__mro__]
    return next((_RULES[name] for name in names if name in _RULES), type(chain[0]).__name__)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, then what caused it, outermost first."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _is_a(error: BaseException, *names: str) -> bool:
    return any(ancestor.__name__ in names for ancestor in type(error).__mro__)


def _first_int(*values: Any) -> int | None:
    return next((value for value in values if isinstance(value, int) and not isinstance(value, bool)), None)


def _body_bytes(body: Any, response: Any) -> bytes:
    """Return the reply's body as far as the error still knows it; the SDK hands on only the inner error."""
    if isinstance(body, str):
        return body.encode("utf-8", "replace")
    if body is not None:
        return orjson.dumps({"error": body}, default=str)
    try:
        content = getattr(response, "content", b"")
    except Exception:  # noqa: BLE001  httpx raises where a stream was not read; there is then nothing to see
        return b""
    return content if isinstance(content, bytes) else b""
