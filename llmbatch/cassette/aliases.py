"""Base URLs that stand for the one a cassette was recorded at: declared in the cassette itself, in `aliases.yaml`.

    - {"base_url":"https://gpu7.example/v1","recorded_as":"http://127.0.0.1:8000/v1"} # crc32=xxxxxxxx

An address below `base_url` is rewritten before its key is computed, so that recorded answers are found and new
ones go under the recorded address. No two addresses of the file overlap, save recorded ones among themselves: so
every address has one meaning, and rewriting twice is rewriting once. Knows no key and no lock.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import orjson

from llmbatch.call.key import url_parts
from llmbatch.cassette.line import BadLineError, dumps, payload_of, with_crc
from llmbatch.errors import CassetteDamaged, UsageError

ALIASES_FILE = "aliases.yaml"
FILE_CAP = 1 << 20
"""Bytes of the longest file of aliases that is read."""

_REMEMBERED = 256
_PREFIX = b"- "
_BASE_URL = re.compile(r"https?://(?:\[[0-9a-f:.]+\]|[^\s/?#@:\[\]]+)(?::\d+)?(?:/[^\s?#]*)?", re.IGNORECASE)
_NO_PAIRS: Mapping[str, str] = MappingProxyType({})


class _Base(NamedTuple):
    """A base URL as requests are compared with it; the path has no slash at its end."""

    origin: tuple[str, str, str]
    path: str

    @classmethod
    def of(cls, url: str) -> _Base:
        scheme, host, port, path, _ = url_parts(url)
        return cls((scheme, host, port), path.rstrip("/"))

    def holds(self, other: _Base) -> bool:
        """Whether the other one is at this one or below it."""
        return self.origin == other.origin and f"{other.path}/".startswith(f"{self.path}/")


class Aliases:
    """What base URLs stand for: a mapping from `base_url` to `recorded_as`, both as `base_url_of` gives them.

    Raises UsageError where two of the addresses overlap in a way that would give an address two meanings.
    """

    def __init__(self, pairs: Mapping[str, str] = _NO_PAIRS) -> None:
        self.pairs: Mapping[str, str] = MappingProxyType(dict(sorted(pairs.items())))
        self._rules = [(_Base.of(base_url), recorded_as) for base_url, recorded_as in self.pairs.items()]
        self._recorded: dict[str, str] = {}
        self._refuse_overlaps()

    def recorded(self, url: str) -> str:
        """Return the address under which a URL is recorded; one below no aliased base URL is its own."""
        if not self._rules:
            return url
        known = self._recorded.get(url)
        if known is None:
            if len(self._recorded) >= _REMEMBERED:
                self._recorded.clear()
            known = self._recorded[url] = self._rewritten(url)
        return known

    def alias_of(self, url: str) -> str | None:
        """Return the aliased base URL that an address lies below, None where there is none."""
        asked = _Base.of(url)
        return next((name for name, (base, _) in zip(self.pairs, self._rules, strict=True) if base.holds(asked)), None)

    def payload(self) -> bytes:
        """Return the bytes of the file; none for no alias. Equal aliases give equal bytes."""
        members = ({"base_url": base_url, "recorded_as": old} for base_url, old in self.pairs.items())
        return b"".join(with_crc(_PREFIX, dumps(each)) for each in members)

    def _rewritten(self, url: str) -> str:
        asked = _Base.of(url)
        _, _, _, path, query = url_parts(url)
        for base, recorded_as in self._rules:
            if base.holds(asked):
                bare = not url.partition("?")[0].endswith("/")  # "https://host" has the path "/" all the same
                rest = path[len(base.path) :]
                return recorded_as + ("" if bare and rest == "/" else rest) + query
        return url

    def _refuse_overlaps(self) -> None:
        bases = [(name, base) for name, (base, _) in zip(self.pairs, self._rules, strict=True)]
        recorded = [(name, _Base.of(name)) for name in dict.fromkeys(self.pairs.values())]
        for number, (name, base) in enumerate(bases):
            for other, near in bases[number + 1 :]:
                if base.holds(near) or near.holds(base):
                    raise _refused(f"{name} and {other} overlap", "alias one of them only")
            for other, near in recorded:
                if base.holds(near) or near.holds(base):
                    raise _refused(
                        f"{name} would stand for another address, and {other} is one that others stand for",
                        "let every alias name the address that the answers were recorded under",
                    )


def base_url_of(text: str) -> str:
    """Return a base URL in its one spelling: lower-case host, no default port, no slash at the end.

    Raises UsageError for a text that is no http or https URL, or has user, query or fragment.
    """
    if _BASE_URL.fullmatch(text) is None:
        raise UsageError(f"{text!r} is no base URL", fix="write scheme, host and path, such as https://gpu7.example/v1")
    scheme, host, port, path, _ = url_parts(text)
    default = {"http": "80", "https": "443"}[scheme]
    return f"{scheme}://{host}{'' if port == default else f':{port}'}{path.rstrip('/')}"


def read_aliases(folder: Path) -> Aliases:
    """Return the aliases of a cassette; a folder without the file has none. Raises CassetteDamaged."""
    path = folder / ALIASES_FILE
    try:
        if path.is_symlink() and path.resolve().parent != folder.resolve():
            raise _damaged(path, "it is a link that leads out of the cassette")
        with path.open("rb") as stream:
            text = stream.read(FILE_CAP + 1)
    except (FileNotFoundError, NotADirectoryError):
        return Aliases()
    except OSError as error:
        raise _damaged(path, error.strerror or str(error)) from error
    if len(text) > FILE_CAP:
        raise _damaged(path, f"it is longer than {FILE_CAP} bytes")
    try:
        return _parsed(text)
    except (ValueError, LookupError, TypeError, AttributeError, UsageError) as error:
        raise _damaged(path, str(getattr(error, "what", error))) from error


def _parsed(text: bytes) -> Aliases:
    pairs: dict[str, str] = {}
    for line in text.splitlines(keepends=True):
        members = orjson.loads(payload_of(line, _PREFIX))
        base_url, recorded_as = members["base_url"], members["recorded_as"]
        if base_url_of(base_url) != base_url or base_url_of(recorded_as) != recorded_as:
            raise BadLineError("an address is not in its one spelling")
        if base_url in pairs:
            raise BadLineError(f"{base_url} has two lines")
        pairs[base_url] = recorded_as
    return Aliases(pairs)


def united(all_aliases: Iterable[Aliases]) -> Aliases:
    """Return the aliases of several cassettes together. Raises UsageError where they contradict each other."""
    pairs: dict[str, str] = {}
    for aliases in all_aliases:
        for base_url, recorded_as in aliases.pairs.items():
            if pairs.setdefault(base_url, recorded_as) != recorded_as:
                raise _refused(
                    f"{base_url} stands for {pairs[base_url]} and for {recorded_as}",
                    "remove one of the two: `llmbatch cassette alias CASSETTE --base-url URL --remove`",
                )
    return Aliases(pairs)


def _refused(what: str, fix: str) -> UsageError:
    return UsageError(f"an address must have one meaning: {what}", fix=fix)


def _damaged(path: Path, why: str) -> CassetteDamaged:
    return CassetteDamaged(
        f"the aliases of this cassette cannot be read: {why}",
        file=str(path),
        offset="0",
        fix="restore the file, or delete it and declare the aliases again with `llmbatch cassette alias`",
    )
