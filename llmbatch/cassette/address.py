"""Where requests go: a method, a URL and headers, scrubbed and rewritten once for the many bodies sent there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llmbatch.call.key import canonical_body, request_digest
from llmbatch.call.values import Request
from llmbatch.cassette.aliases import Aliases
from llmbatch.cassette.scrub import Scrubber, key_headers_of


class Address:
    """All of a request but its body, as it is stored."""

    __slots__ = ("_content_type", "_headers", "_key_headers", "_method", "_scrubber", "url")

    def __init__(
        self,
        scrubber: Scrubber,
        aliases: Aliases,
        method: str,
        url: str,
        headers: Mapping[str, str | Sequence[str]],
    ) -> None:
        self._scrubber = scrubber
        self._method = scrubber.text(method.upper())
        self.url = aliases.recorded(scrubber.url(url))
        self._headers = scrubber.request_headers(headers)
        self._key_headers = key_headers_of(self._headers)
        self._content_type = next(iter(self._headers.get("content-type", ())), None)

    def digest(self, body: bytes | None, canonical: bytes | None = None) -> bytes:
        """Return the digest of a request, computed after scrubbing.

        `canonical` is what stands for a JSON body in the key, where the caller has it at hand; it is not used for a
        body that holds a secret.
        """
        stored = None if body is None else self._scrubber.body(body)
        if canonical is None or stored is not body or self._content_type != "application/json":
            canonical = canonical_body(stored, self._content_type)
        return request_digest(self._method, self.url, canonical, self._key_headers)

    def request(self, body: bytes | None, digest: bytes | None = None) -> Request:
        """Return the request as it is stored; `digest` is that of this very body, where it is known."""
        stored = None if body is None else self._scrubber.body(body)
        return Request(self._method, self.url, self._headers, stored, digest or self.digest(body))
