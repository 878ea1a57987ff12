"""Reading the files of OpenAI's Batch API: what came back, joined to what was asked. Knows no store.

Source: https://platform.openai.com/docs/guides/batch. An output or error file has one object a line with
`custom_id`, `response` (`status_code`, `request_id`, `body`) and `error`; the input file has `custom_id`, `method`,
`url` (a path) and `body`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self
from urllib.parse import urlsplit

import orjson

from llmbatch.call.failure import FailureKind
from llmbatch.call.values import Reply
from llmbatch.cassette.line import RECORD_CAP
from llmbatch.cassette.upkeep.exchange.incoming import BOM, Incoming, Unusable, refused
from llmbatch.cassette.upkeep.exchange.incoming import capped_lines as lines_of
from llmbatch.errors import UsageError

_JSON = {"content-type": ("application/json",)}


class BatchRequests:
    """The input file of a batch, of which only the places of the lines are held. Raises UsageError for a bad URL."""

    def __init__(self, path: Path, base_url: str) -> None:
        self._path = path
        self._base_url = base_url.rstrip("/")
        self._below = _path_of(self._base_url)
        self._places: dict[str, int] = {}
        self._stream = path.open("rb")

    def __enter__(self) -> Self:
        """Read the places. Raises UsageError where a custom_id stands twice, or a line is no request."""
        try:
            self._read_places()
        except BaseException:
            self._stream.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def _read_places(self) -> None:
        offset = number = 0
        while line := self._stream.readline(RECORD_CAP + 1):
            number += 1
            if len(line) > RECORD_CAP:
                raise refused(self._path.name, number, f"a line is longer than {RECORD_CAP} bytes")
            if line.strip(b" \t\r\n" + BOM):
                self._add(_custom_id(line.removeprefix(BOM)), offset, number)
            offset += len(line)

    def _add(self, custom_id: str | None, offset: int, number: int) -> None:
        if custom_id is None or custom_id in self._places:
            why = "no request of a batch" if custom_id is None else f"a second request named {custom_id[:80]!r}"
            raise UsageError(
                f"this line is {why}",
                place=f"{self._path.name}:{number}",
                fix="give --requests the input file that was uploaded for the batch",
            )
        self._places[custom_id] = offset

    def find(self, custom_id: Any) -> tuple[str, str, bytes] | None:
        """Return method, URL and body of a request; None when there is none of that name or it is not whole."""
        place = self._places.get(custom_id) if isinstance(custom_id, str) else None
        if place is None:
            return None
        self._stream.seek(place)
        request = orjson.loads(self._stream.readline().removeprefix(BOM))
        method, url, body = request.get("method", "POST"), request.get("url"), request.get("body")
        if not isinstance(method, str) or not isinstance(url, str) or not isinstance(body, dict):
            return None
        return method, self._whole_url(url), orjson.dumps(body)

    def _whole_url(self, path: str) -> str:
        """Join as the service does: `/v1/...` stands below the host, whether or not the base URL ends in `/v1`."""
        whole = path.startswith(f"{self._below}/")
        return (self._base_url.removesuffix(self._below) if whole else self._base_url) + path


def _path_of(base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
    except ValueError:
        parts = urlsplit("")
    if not parts.scheme or not parts.netloc:
        raise UsageError(f"{base_url} is no base URL", fix="give --base-url one such as https://api.openai.com/v1")
    return parts.path


def _custom_id(line: bytes) -> str | None:
    try:
        found = orjson.loads(line)["custom_id"]
    except (ValueError, LookupError, TypeError):
        return None
    return found if isinstance(found, str) else None


def read_batch_output(stream: BinaryIO, name: str, requests: BatchRequests) -> Iterator[Incoming | Unusable]:
    """Yield each line of an output or error file with its request. Raises CassetteDamaged for an endless line."""
    for number, line in lines_of(stream, name):
        try:
            yield _incoming(number, orjson.loads(line), requests)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            yield Unusable(number, f"it is no line of a batch's output ({type(error).__name__}: {error})")


def _incoming(number: int, value: dict[str, Any], requests: BatchRequests) -> Incoming | Unusable:
    custom_id = value["custom_id"]
    asked = requests.find(custom_id)
    if asked is None:
        return Unusable(number, f"no request is named {str(custom_id)[:80]!r}")
    method, url, body = asked
    response, error = value.get("response"), value.get("error")
    reply = failure = None
    if response:
        reply = _reply(response)
    if error or reply is None:
        failure = _failure(error)
    return Incoming(number, method, url, _JSON, body, reply, failure)


def _reply(response: Mapping[str, Any]) -> Reply:
    status, body, request_id = response["status_code"], response["body"], response.get("request_id")
    if type(status) is not int or not 100 <= status <= 999:
        raise ValueError("its status_code is no HTTP status")
    headers = _JSON | ({"x-request-id": (request_id,)} if isinstance(request_id, str) else {})
    text = body.encode() if isinstance(body, str) else orjson.dumps(body)
    return Reply(status, "", headers, text, _created(body))


def _created(body: Any) -> str:
    seconds = (body.get("created") or body.get("created_at")) if isinstance(body, dict) else None
    if not isinstance(seconds, int | float):
        return ""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return ""


def _failure(error: Any) -> tuple[str, str]:
    """Return kind and message of a request that the batch did not send, such as `batch_expired`."""
    if not isinstance(error, Mapping):
        return FailureKind.SERVER_ERROR, "the batch has no response to it"
    said = " ".join(str(error[name])[:300] for name in ("code", "message") if error.get(name))
    kind = FailureKind.TIMEOUT if error.get("code") == "batch_expired" else FailureKind.SERVER_ERROR
    return kind, said or "the batch has no response to it"
