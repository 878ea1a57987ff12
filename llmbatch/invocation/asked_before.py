"""Whether a cassette has answers of a model that was asked as it is configured now. Reads lines, and no facts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from llmbatch.call.values import Request
from llmbatch.capability.questions import added_to_all
from llmbatch.cassette.case import PROBE
from llmbatch.cassette.line import decode
from llmbatch.cassette.upkeep.addressee import model_of

_OF_A_PROBE = b',"case":"' + PROBE.encode()

Members = frozenset[bytes]
"""What the configuration adds to requests, each member as a line of the cassette has it."""


def was_asked(lines: Callable[[], Iterable[bytes]], url: str, name: str, added: Mapping[str, Any]) -> bool:
    """Return whether a model was asked at a URL, with what is `added` to its questions, other than by a probe.

    `lines` are those of the answers, as often as they are wanted. An answer belongs to the configuration, now or that
    of an earlier probe, of which it has the most members. One that belongs to none counts: an ask may set all of them
    otherwise.
    """
    is_named, own = _in_a_line({"model": name}), _members(added)
    is_of_model = _is_of(url, name)
    earlier = {own}
    for line in lines():
        if _OF_A_PROBE in line and is_named in line and (request := is_of_model(line)) is not None:
            earlier.add(_members(added_to_all(orjson.loads(request.body or b"{}"))))
    for line in lines():
        if is_named not in line or _OF_A_PROBE in line:
            continue
        having = [members for members in earlier if all(member in line for member in members)]
        belongs = not having or (own in having and len(own) == max(map(len, having)))
        if belongs and is_of_model(line) is not None:
            return True
    return False


def _is_of(url: str, name: str) -> Callable[[bytes], Request | None]:
    def request_of(line: bytes) -> Request | None:
        request = decode(line).call.request
        return request if request.url == url and model_of(request.body) == name else None

    return request_of


def _members(added: Mapping[str, Any]) -> Members:
    return frozenset(_in_a_line({name: value}) for name, value in added.items())


def _in_a_line(members: Mapping[str, Any]) -> bytes:
    return orjson.dumps(orjson.dumps(members)[1:-1].decode())[1:-1]
