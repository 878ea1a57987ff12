"""Taking given secrets out of recorded lines: the rules of recording, once more, and patterns of one's own.

Knows no file. A request that changes gets the key of what is left of it, so two that differed in the secret
alone become one call with two answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from llmbatch.call.values import Headers, Reply, Request
from llmbatch.cassette.line import Decoded
from llmbatch.cassette.scrub import REPLACEMENT, SECRET_LENGTH, Scrubber
from llmbatch.cassette.segment import Metadata
from llmbatch.cassette.upkeep.remaking.gathering import line_of, with_present_key
from llmbatch.errors import InternalError, UsageError


@dataclass(slots=True)
class Scrubbing:
    """Replace secrets, and whatever matches a pattern, by `<secret>`; `places` counts how often.

    A secret is found in its URL, JSON and base64 forms too, a pattern in texts as they are recorded.
    """

    secrets: Sequence[str] = ()
    patterns: Sequence[re.Pattern[str]] = ()
    places: int = 0
    lines: int = 0
    _scrubbers: dict[tuple[str, ...], Scrubber] = field(default_factory=dict)

    def line(self, found: Decoded) -> Decoded:
        """Return a line's values without the secrets, under the key of what is left of the request."""
        request, reply = found.call.request, found.reply
        scrub = self._scrubber(request.headers)
        kept = scrub.request_headers(request.headers)
        scrubbed = Request(
            self._text(scrub, request.method),
            self._text(scrub, scrub.url(request.url)),
            self._headers(scrub, kept),
            None if request.body is None else self._body(scrub, request.body),
            b"",
        )
        return with_present_key(
            found._replace(
                call=replace(found.call, request=scrubbed),
                reply=None if reply is None else self._reply(scrub, reply),
                case=None if found.case is None else self._text(scrub, found.case),
                message=None if found.message is None else self._text(scrub, found.message),
            )
        )

    def gathered(self, before: Decoded, after: Decoded) -> None:
        """Count what was replaced in one line. Raises InternalError where a secret is still there."""
        if self._scrubber(before.call.request.headers).holds_secret(line_of(after)):
            raise InternalError("a secret would be left in the new cassette; it was not made", fix="report this")
        dropped = len(before.call.request.headers) - len(after.call.request.headers)
        places = dropped + _replaced(after) - _replaced(before)
        self.places += places
        self.lines += places > 0

    def metadata(self, metadata: Metadata) -> Metadata:
        """Return a file's metadata without the secrets."""
        scrub = self._scrubber({})

        def plain(value: Any) -> Any:
            if isinstance(value, Mapping):
                return {self._text(scrub, name): plain(inner) for name, inner in value.items()}
            if isinstance(value, list):
                return [plain(inner) for inner in value]
            return self._text(scrub, value) if isinstance(value, str) else value

        named = {name: plain(getattr(metadata, name)) for name in ("endpoints", "prices", "models")}
        return replace(metadata, **named)

    def aliases(self, payload: bytes) -> None:
        """Raise UsageError where an alias holds a secret: what is left of an address would be another one."""
        if self._text(self._scrubber({}), payload.decode()) != payload.decode():
            raise UsageError(
                "an alias of this cassette holds what is to be taken out",
                fix="take the alias back first: `llmbatch cassette alias CASSETTE --base-url URL --remove`",
            )

    def _scrubber(self, headers: Headers) -> Scrubber:
        names = tuple(headers)
        if names not in self._scrubbers:
            self._scrubbers[names] = Scrubber(secrets=self.secrets, key_headers=names)
        return self._scrubbers[names]

    def _reply(self, scrub: Scrubber, reply: Reply) -> Reply:
        headers, body = self._headers(scrub, reply.headers), self._body(scrub, reply.body)
        return replace(reply, reason=self._text(scrub, reply.reason), headers=headers, body=body)

    def _headers(self, scrub: Scrubber, headers: Headers) -> Headers:
        return {name: tuple(self._text(scrub, value) for value in values) for name, values in headers.items()}

    def _text(self, scrub: Scrubber, text: str) -> str:
        text = scrub.text(text)
        for pattern in self.patterns:
            text = pattern.sub(REPLACEMENT, text)
        return text

    def _body(self, scrub: Scrubber, body: bytes) -> bytes:
        body = scrub.body(body)
        if not self.patterns:
            return body
        try:
            return self._text(scrub, body.decode()).encode()
        except UnicodeDecodeError:  # as Latin-1 every byte is a character, and comes back as it was
            return self._text(scrub, body.decode("latin-1")).encode("latin-1")


def scrubbing_of(variables: Sequence[str], patterns: Sequence[str], environ: Mapping[str, str]) -> Scrubbing:
    """Return what is to be taken out, by the names of variables and by patterns. Raises UsageError for a bad one."""
    if not variables and not patterns:
        raise UsageError(
            "nothing says what to take out",
            fix="name the variable that holds the secret with --secret-variable, or give a --pattern",
        )
    secrets = []
    for name in variables:
        value = environ.get(name, "")
        if len(value) < SECRET_LENGTH:
            what = f"has {len(value)} characters" if value else "is not set, or empty"
            fix = (
                f"set it to the secret; of fewer than {SECRET_LENGTH} characters it is a word: give a --pattern for it"
            )
            raise UsageError(f"the variable {name} {what}", fix=fix)
        secrets.append(value)
    return Scrubbing(secrets, [_compiled(pattern) for pattern in patterns])


def _compiled(text: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise UsageError(
            f"the pattern is no regular expression: {error}", fix="write it as Python's `re` reads it"
        ) from error
    if pattern.search("") is not None:
        raise UsageError("the pattern matches nothing at all, everywhere", fix="have it match a character at least")
    return pattern


def _replaced(found: Decoded) -> int:
    return sum(text.count(REPLACEMENT) for text in _texts(found))


def _texts(found: Decoded) -> Iterator[str]:
    request, reply = found.call.request, found.reply
    yield from (request.method, request.url, found.case or "", found.message or "")
    yield (request.body or b"").decode("latin-1")
    for values in request.headers.values():
        yield from values
    if reply is not None:
        yield from (reply.reason, reply.body.decode("latin-1"))
        for values in reply.headers.values():
            yield from values
