"""Where requests go: a method, a URL and headers, scrubbed and rewritten once for the many bodies sent there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llmbatch.call.key import Digests, canonical_body
from llmbatch.call.values import Request
from llmbatch.cassette.aliases import Aliases
from llmbatch.cassette.scrub import Scrubber, key_headers_of


class Address:
    """All of a request but its body, as it is stored."""

    __slots__ = (
        "_clean",
        "_content_type",
        "_digests",
        "_headers",
        "_is_json",
        "_method",
        "_scrubber",
        "digest_of",
        "keys_canonical",
        "url",
    )

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
        self._content_type = next(iter(self._headers.get("content-type", ())), None)
        self._is_json = self._content_type == "application/json"
        self._digests = Digests(self._method, self.url, key_headers_of(self._headers))
        self.keys_canonical = self._is_json and not scrubber.replaces
        """Whether `digest_of`, the digest of a canonical body, is that of the request: no secret can be in a body."""
        self.digest_of = self._digests.of
        self._clean: bytes | None = None  # the last body that was found to hold no secret: it is sent next, as a rule

    def digest(self, body: bytes | None, canonical: bytes | None = None) -> bytes:
        """Return the digest of a request, computed after scrubbing.

        `canonical` is what stands for a JSON body in the key, where the caller has it at hand; it is not used for a
        body that holds a secret.
        """
        stored = None if body is None else self._scrubber.body(body)
        if stored is body:
            self._clean = body
        if canonical is None or stored is not body or not self._is_json:
            canonical = canonical_body(stored, self._content_type)
        return self._digests.of(canonical)

    def request(self, body: bytes | None, digest: bytes | None = None) -> Request:
        """Return the request as it is stored; `digest` is that of this very body, where it is known."""
        stored = body if body is None or body is self._clean else self._scrubber.body(body)
        return Request(self._method, self.url, self._headers, stored, digest or self.digest(body))
