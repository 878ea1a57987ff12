"""What may be stored of a request or a reply: allowed headers, no credential, no known secret.

Knows no file. Secrets are exact values; only those of 16 characters and more are replaced in texts,
because a local server's key is often a word like `EMPTY` or `ollama`.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from urllib.parse import quote, quote_plus, unquote_plus

from llmbatch.call.values import Headers

REPLACEMENT = "<secret>"
SECRET_LENGTH = 16
KEY_HEADERS = frozenset({"openai-beta", "anthropic-version", "anthropic-beta"})

_RESPONSE_HEADERS = frozenset(
    {
        "content-type",
        "x-request-id",
        "request-id",
        "retry-after",
        "retry-after-ms",
        "x-should-retry",
        "openai-processing-ms",
        "location",  # without it a redirect cannot be followed again; scrubbed as any URL
    }
)
_RESPONSE_PREFIX = "x-ratelimit-"
_CREDENTIALS = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "api-key",
        "x-api-key",
        "x-goog-api-key",
        "openai-organization",
        "openai-project",
        "cookie",
        "set-cookie",
        "cf-ray",
    }
)
_CREDENTIAL_PREFIX = "x-amz-"
_SECRET_PARAMETERS = frozenset(
    {"key", "api_key", "token", "sig", "signature", "access_token", "code"}
    | {"x-amz-signature", "x-amz-credential", "x-amz-security-token", "x-goog-signature", "x-goog-credential"}
)
_SPLIT_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)([^/?#]*)([^?#]*)(\?[^#]*)?(?:#.*)?", re.DOTALL)

_REMEMBERED = 256

RawHeaders = Mapping[str, str | Sequence[str]]


class Scrubber:
    """Take out of requests, replies and messages whatever must not be stored.

    `key_headers` are the request headers that enter the key besides the three of `KEY_HEADERS`; a
    credential header named there stays out all the same.
    """

    def __init__(self, *, secrets: Sequence[str] = (), key_headers: Sequence[str] = ()) -> None:
        kept = KEY_HEADERS | {name.lower() for name in key_headers}
        self._key_headers = frozenset(name for name in kept if not is_credential(name))
        self._short = frozenset(value for value in secrets if 0 < len(value) < SECRET_LENGTH)
        forms = {form for value in secrets if len(value) >= SECRET_LENGTH for form in secret_forms(value)}
        # longest first, so that a padded form does not leave its padding behind
        self._forms = sorted(forms, key=len, reverse=True)
        self._form_bytes = [form.encode("utf-8", "surrogatepass") for form in self._forms]
        # a text without any of these has none of the others, which hold one of these: that is nearly every text
        self._marks = [form for form in self._forms if not any(each in form for each in forms - {form})]
        self._mark_bytes = [form.encode("utf-8", "surrogatepass") for form in self._marks]
        self._kept_of: dict[object, Headers] = {}

    @property
    def replaces(self) -> bool:
        """Whether there is a secret to be looked for in texts."""
        return bool(self._forms)

    def url(self, url: str) -> str:
        """Return the URL without userinfo, fragment, secret query parameters and secrets."""
        return self.text(_stored_url(url))

    def text(self, text: str) -> str:
        """Return the text with each known secret replaced, in a form that UTF-8 can hold."""
        if not text.isascii():
            text = encodable(text)
        for mark in self._marks:
            if mark in text:
                break
        else:
            return text
        for form in self._forms:
            text = text.replace(form, REPLACEMENT)
        return text

    def body(self, body: bytes) -> bytes:
        """Return the body with each known secret replaced; no other byte changes."""
        if not self.holds_secret(body):
            return body
        for form in self._form_bytes:
            body = body.replace(form, REPLACEMENT.encode())
        return body

    def request_headers(self, headers: RawHeaders) -> Headers:
        """Return the content type and the key headers; one that holds any given secret is left out."""
        try:
            sent = tuple(headers.items())
            kept = self._kept_of.get(sent)
        except TypeError:  # a list among the values
            return self._kept(headers)
        if kept is None:
            kept = self._kept(headers)
            if len(self._kept_of) >= _REMEMBERED:
                self._kept_of.clear()
            self._kept_of[sent] = kept  # a run sends the same headers over and over
        return kept

    def _kept(self, headers: RawHeaders) -> Headers:
        kept: dict[str, tuple[str, ...]] = {}
        for name, values in _lowered(headers, self._request_header):
            if name == "content-type":
                kept[name] = tuple(self.text(value) for value in values)
            elif not any(self._holds_secret(value) for value in values):
                kept[name] = values
        return kept

    def response_headers(self, headers: RawHeaders) -> dict[str, tuple[str, ...]]:
        """Return the headers that are allowed in a recording, in the order received."""
        kept: dict[str, tuple[str, ...]] = {}
        for raw_name, raw in headers.items():
            name = _response_header(raw_name)
            if name is None:
                continue
            clean = self._location if name == "location" else self.text
            values = tuple([clean(value) for value in ((raw,) if isinstance(raw, str) else raw)])
            kept[name] = kept[name] + values if name in kept else values
        return kept

    def _location(self, value: str) -> str:
        return self.url(encodable(value))

    def holds_secret(self, line: bytes) -> bool:
        """Whether a known secret, in any of its forms, is in these bytes."""
        for mark in self._mark_bytes:  # noqa: SIM110 - for each line that is written: no generator
            if mark in line:
                return True
        return False

    def _request_header(self, name: str) -> bool:
        return name == "content-type" or name in self._key_headers

    def _holds_secret(self, value: str) -> bool:
        if any(mark in value for mark in self._marks):
            return True
        return not self._short.isdisjoint(value.split())


def is_credential(name: str) -> bool:
    """Whether a header, by its lower-case name, is never stored and never part of a key."""
    return name in _CREDENTIALS or name.startswith(_CREDENTIAL_PREFIX)


def key_headers_of(headers: Headers) -> Headers:
    """Return those stored request headers that are in the key: all but the content type."""
    if "content-type" in headers:
        return {name: values for name, values in headers.items() if name != "content-type"}
    return headers


def encodable(text: str) -> str:
    r"""Return text that UTF-8 can hold: bytes that a client smuggled in as surrogates become Latin-1.

    That is what a header's bytes mean when they are no ASCII (RFC 9110 section 5.5); a surrogate that
    stands for no byte is written out as `\udxxx`.
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        try:
            return text.encode("utf-8", "surrogateescape").decode("latin-1")
        except UnicodeEncodeError:
            return text.encode("utf-8", "backslashreplace").decode()
    return text


def secret_forms(value: str) -> set[str]:
    """Return the ways a secret may be written: as it is, in URLs, in JSON, in base64 at any offset."""
    forms = {value, quote(value, safe=""), quote(value), quote_plus(value)}
    forms |= {re.sub(r"%[0-9A-F]{2}", lambda escape: escape[0].lower(), form) for form in forms}
    for ascii_only in (True, False):
        escaped = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        forms |= {escaped, escaped.replace("/", "\\/")}
        forms.add(json.dumps(escaped, ensure_ascii=ascii_only)[1:-1])  # JSON inside of JSON: an echoed body
    forms |= set(_base64_forms(value.encode("utf-8", "surrogatepass")))
    return forms


def _base64_forms(value: bytes) -> Iterable[str]:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        whole = encode(value).decode()
        yield whole
        yield whole.rstrip("=")
        # inside of a longer text ("user:secret") only the characters between its edges are its own
        for offset in range(3):
            bits_before, bits = offset * 8, (offset + len(value)) * 8
            text = encode(b"\0" * offset + value).decode()
            yield text[-(-bits_before // 6) : bits // 6]


@lru_cache(maxsize=256)
def _stored_url(url: str) -> str:
    match = _SPLIT_URL.fullmatch(url)
    if match is None:
        return url
    scheme, authority, path, query = match[1], match[2].rpartition("@")[2], match[3], match[4] or ""
    if query:
        fields = query[1:].split("&")
        kept = [field for field in fields if not _is_secret_parameter(field)]
        query = query if len(kept) == len(fields) else "?" + "&".join(kept) if kept else ""
    return scheme + authority + path + query


def _is_secret_parameter(field: str) -> bool:
    return unquote_plus(field.partition("=")[0]).strip().lower() in _SECRET_PARAMETERS


@lru_cache(maxsize=1024)
def _response_header(raw_name: str) -> str | None:
    """Return the name under which a header of a response is kept; None for one that is not."""
    name = raw_name.lower()
    return name if name in _RESPONSE_HEADERS or name.startswith(_RESPONSE_PREFIX) else None


def _lowered(headers: RawHeaders, wanted: Callable[[str], bool]) -> Iterable[tuple[str, tuple[str, ...]]]:
    found: dict[str, tuple[str, ...]] = {}
    for raw_name, raw in headers.items():
        name = raw_name.lower()
        if wanted(name):
            values = (raw,) if isinstance(raw, str) else tuple(raw)
            found[name] = found.get(name, ()) + tuple(encodable(value) for value in values)
    return found.items()
