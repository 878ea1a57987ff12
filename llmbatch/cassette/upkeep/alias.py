"""Declaring that a cassette's answers hold for another base URL, and taking that back. Under the folder's lock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from llmbatch.cassette.aliases import ALIASES_FILE, Aliases, base_url_of, read_aliases, united
from llmbatch.cassette.disk import disk_error, sync_folder
from llmbatch.cassette.lock import Lock
from llmbatch.cassette.segment import SEGMENT
from llmbatch.cassette.upkeep.synced import replacing
from llmbatch.cassette.upkeep.walk import decoded, lines_of
from llmbatch.errors import UsageError

_SHOWN_ADDRESSES = 10


def add_alias(folder: Path, base_url: str, recorded_as: str) -> Aliases:
    """Let `base_url` stand for `recorded_as` in a cassette; return all its aliases.

    Raises UsageError for an address that would have two meanings, one below which answers are recorded already,
    and a `recorded_as` below which none are; CassetteLocked, CassetteDamaged and DiskError.
    """
    base_url, recorded_as = base_url_of(base_url), base_url_of(recorded_as)
    lock = Lock(folder).take()
    try:
        known = read_aliases(folder)
        added = united([known, Aliases({base_url: recorded_as})])
        refuse_hidden(added, [folder])
        _refuse_unrecorded(folder, recorded_as)
        _write(folder, added)
    finally:
        lock.release()
    return added


def remove_alias(folder: Path, base_url: str) -> Aliases:
    """Take an alias back; what was recorded through it stays. Return those that are left.

    Raises UsageError where there is no such alias; CassetteLocked, CassetteDamaged and DiskError.
    """
    base_url = base_url_of(base_url)
    lock = Lock(folder).take()
    try:
        known = read_aliases(folder)
        if base_url not in known.pairs:
            listed = "\n".join(known.pairs) or "none"
            raise UsageError(f"{base_url} is no alias of this cassette", aliases=listed, fix="name one of them")
        left = Aliases({name: old for name, old in known.pairs.items() if name != base_url})
        _write(folder, left)
    finally:
        lock.release()
    return left


def merge_aliases(folders: Sequence[Path]) -> bytes:
    """Return the `aliases.yaml` of several cassettes merged into one; no bytes where none has an alias.

    The same bytes whatever the order. Raises UsageError where aliases contradict each other, or one would hide
    the answers of another cassette; CassetteDamaged.
    """
    aliases = united(read_aliases(folder) for folder in folders)
    refuse_hidden(aliases, folders)
    return aliases.payload()


def refuse_hidden(aliases: Aliases, folders: Sequence[Path]) -> None:
    """Raise UsageError where answers are recorded below a base URL that stands for another: none would be found."""
    if not aliases.pairs:
        return
    for folder in folders:
        for url in _recorded_urls(folder):
            alias = aliases.alias_of(url)
            if alias is not None:
                raise UsageError(
                    f"answers are recorded below {alias} itself, and would not be found under an alias",
                    cassette=str(folder),
                    recorded=url,
                    fix="alias a base URL that nothing was recorded at, or keep those answers in another cassette",
                )


def _refuse_unrecorded(folder: Path, recorded_as: str) -> None:
    """Raise UsageError where a cassette has answers and none at that address: most likely it is mistyped."""
    wanted = Aliases({recorded_as: "http://nothing.invalid"})
    origins: dict[str, None] = {}
    for url in _recorded_urls(folder):
        if wanted.alias_of(url) is not None:
            return
        if len(origins) < _SHOWN_ADDRESSES:
            parts = urlsplit(url)
            origins[f"{parts.scheme}://{parts.netloc}{parts.path}"] = None
    if origins:
        raise UsageError(
            f"no answer of this cassette is recorded below {recorded_as}",
            recorded="\n".join(origins),
            fix="give with --recorded-as the beginning of an address that is recorded",
        )


def _recorded_urls(folder: Path) -> Iterator[str]:
    return (decoded(folder, line).call.request.url for line in lines_of(folder, SEGMENT))


def _write(folder: Path, aliases: Aliases) -> None:
    """Put the file in its place whole, or take it away when there is no alias left. Raises DiskError."""
    path, text = folder / ALIASES_FILE, aliases.payload()
    if text:
        with replacing(path) as file:
            file.write(text)
        return
    try:
        path.unlink(missing_ok=True)
        sync_folder(folder)
    except OSError as error:
        raise disk_error(
            "the aliases cannot be removed", path, error, fix="make the folder writable; the aliases are as they were"
        ) from error
