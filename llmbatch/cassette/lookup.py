"""The lines of one kind that count, found by key and read by place. Knows no generation.

An index says where to look and is no proof: what is read there is checked, its checksum and its key, before it
is handed on.
"""

from __future__ import annotations

from binascii import hexlify
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from llmbatch.call.key import call_key
from llmbatch.call.values import Reply
from llmbatch.cassette.index import Index, Position
from llmbatch.cassette.line import PREFIX, BadLineError, Decoded, decode, decode_reply, decode_reply_at
from llmbatch.cassette.reader import Reader
from llmbatch.cassette.verify import digest_of

_T = TypeVar("_T")

_KEY_AT = len(PREFIX)
_NONE_READ = (b"", 0)


class Lines:
    """The lines of one kind (answers or failures) that count, by key.

    `older` has the numbers of the files whose keys an older llmbatch computed, in its way: their lines are found
    by the keys that they would get today.
    """

    def __init__(self, folder: Path, kind: str) -> None:
        self.index = Index()
        self.older: set[int] = set()
        self._reader = Reader(folder, kind)
        self._last = _NONE_READ

    def put(self, key: bytes, generation: int, place: Position) -> None:
        """Take in a line that was just written: it answers its key, whatever did before."""
        self.index.put(key, generation, place)
        self._last = _NONE_READ

    def reply(self, key: bytes) -> Reply | None:
        """Return the reply recorded for a key, without parsing its request. Raises CassetteDamaged."""
        place = self.index.get(key)
        if place is None:
            return None
        text, at = self._reader.held(place)
        try:
            reply = decode_reply_at(text, at, at + place[2])
        except BadLineError:
            reply = self._read_anew(place, decode_reply)
            text, at = self._reader.held(place)
        if not text.startswith(hexlify(key), at + _KEY_AT) and not (
            place[0] in self.older and self.whole(place).call.key == key
        ):
            raise self._reader.damaged(place, "its key is not the one that was here when the file was opened")
        self._last = (key, place[0])
        return reply

    def file_of(self, key: bytes) -> int | None:
        """Return the number of the file that answers a key; of the reply read last without another look-up."""
        last, number = self._last
        if last == key:
            return number
        place = self.index.get(key)
        return None if place is None else place[0]

    def whole(self, place: Position) -> Decoded:
        """Return all of one line, with the digest of its request. Raises CassetteDamaged."""
        try:
            found = decode(self._reader.line(place))
        except BadLineError:
            found = self._read_anew(place, decode)
        call = found.call
        digest = digest_of(call.request)
        key = call_key(digest, call.repeat, call.ordinal) if place[0] in self.older else call.key
        return found._replace(call=replace(call, request=replace(call.request, digest=digest), key=key))

    def content_digest(self) -> str:
        """Return the SHA-256, in hex, over key, status and body of all answers by key. Raises CassetteDamaged."""
        digest = sha256()
        for key in self.index.keys():  # noqa: SIM118  # an Index is no mapping: these are sorted
            reply = self.reply(key)
            assert reply is not None
            digest.update(b"%b %d %d:" % (key, reply.status, len(reply.body)))
            digest.update(reply.body)
        return digest.hexdigest()

    def read(self, place: Position) -> bytes:
        """Return the bytes of one line. Raises CassetteDamaged."""
        return self._reader.line(place)

    def _read_anew(self, place: Position, decoded: Callable[[bytes], _T]) -> _T:
        """Return what a line holds that was not sound: it may have been read ahead before all of it was there."""
        self._reader.forget()
        try:
            return decoded(self._reader.line(place))
        except BadLineError as error:
            raise self._reader.damaged(place, error) from error

    def close(self) -> None:
        """Close the files; a later read opens them again."""
        self._reader.close()
