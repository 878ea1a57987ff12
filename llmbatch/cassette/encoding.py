"""Undoing content encodings before a body is stored, under a cap. Knows no header but `content-encoding`.

A stored body must be readable and scrubbable, and clients differ in what they hand on: some the bytes
of the wire with the header, some decoded bytes and still the header. Both end as decoded bytes.
"""

from __future__ import annotations

import gzip
import importlib
import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

_PIECE_BYTES = 1 << 18


class TooLargeError(ValueError):
    """A body that grows beyond the cap when decoded."""


class _BrokenError(ValueError):
    """Bytes that are cut, or not in the encoding that they are said to be in."""


class _NoDecoderError(ValueError):
    """An encoding for which this machine has no decoder, or none that keeps to a cap."""


class Undone(NamedTuple):
    """A body and the encodings that are still on it: none (`""`), unknown here, or `broken`, not what they say."""

    body: bytes
    left: str = ""
    broken: bool = False


def decoded_body(body: bytes, content_encoding: str, *, cap: int) -> Undone:
    """Return the body with as many of its encodings undone as can be. Raises TooLargeError.

    `content_encoding` is the header's text, the encodings in the order applied.
    """
    encodings = [name for word in content_encoding.split(",") if (name := word.strip().lower())]
    broken = False
    while encodings:
        decode = _DECODERS.get(encodings[-1])
        if decode is None:
            break
        try:
            body = decode(body, cap)
        except _NoDecoderError:
            break
        except _BrokenError:
            broken = True
            break
        if len(body) > cap:
            raise TooLargeError(f"more than {cap} bytes after decoding")
        encodings.pop()
    return Undone(body, ", ".join(encodings), broken)


def _gunzip(body: bytes, cap: int) -> bytes:
    if body[:2] != b"\x1f\x8b":
        return body  # the client has decoded it and kept the header
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as stream:
            return _joined(iter(lambda: stream.read1(_PIECE_BYTES), b""), cap)
    except (OSError, EOFError, zlib.error) as error:
        raise _BrokenError from error


def _inflate(body: bytes, cap: int) -> bytes:
    # RFC 9110 says zlib's wrapping, some servers send it bare
    for window in (zlib.MAX_WBITS, -zlib.MAX_WBITS):
        stream = zlib.decompressobj(window)
        try:
            plain = _joined(_inflated(stream, body), cap)
        except zlib.error:
            continue
        if len(plain) > cap or (stream.eof and not stream.unused_data):
            return plain
    return body


def _inflated(stream: Any, body: bytes) -> Iterator[bytes]:
    """Yield what the body stands for in pieces. Raises zlib.error for bytes that are none, or stand behind its end."""
    for start in range(0, len(body), _PIECE_BYTES):
        if stream.eof:
            raise zlib.error("there are bytes behind the end")
        given = body[start : start + _PIECE_BYTES]
        while piece := stream.decompress(given, _PIECE_BYTES):
            yield piece
            given = stream.unconsumed_tail


def _joined(pieces: Iterable[bytes], cap: int) -> bytes:
    """Return the pieces as one body, and no more of them than make it longer than the cap.

    A buffer that grows in its place: what the decoders join themselves, they hold two or three times.
    """
    plain = io.BytesIO()
    for piece in pieces:
        plain.write(piece)
        if plain.tell() > cap:
            break
    return plain.getvalue()


def _unzstd(body: bytes, cap: int) -> bytes:
    if body[:4] != b"\x28\xb5\x2f\xfd":
        return body
    for name in ("compression.zstd", "backports.zstd"):
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        try:
            with module.ZstdFile(io.BytesIO(body)) as stream:
                return _joined(iter(lambda: bytes(stream.read1(_PIECE_BYTES)), b""), cap)
        except (EOFError, module.ZstdError) as error:
            raise _BrokenError from error
    raise _NoDecoderError


def _unbrotli(body: bytes, cap: int) -> bytes:
    for name in ("brotli", "brotlicffi"):
        try:
            module = importlib.import_module(name)
            stream = module.Decompressor()
            plain = bytes(stream.process(body, output_buffer_limit=cap + 1))
        except (ImportError, TypeError):  # older modules know no limit, and a few bytes may stand for gigabytes
            continue
        except module.error:
            return body  # no magic number tells them apart: taken for decoded by the client
        return plain if stream.is_finished() or len(plain) > cap else _text(body, _BrokenError)
    return _text(body, _NoDecoderError)


def _text(body: bytes, error: type[ValueError]) -> bytes:
    """Return a body that is text, and so has been decoded by the client; raise the error for any other."""
    try:
        body.decode()
    except UnicodeDecodeError as reason:
        raise error from reason
    return body


def _identity(body: bytes, _cap: int) -> bytes:
    return body


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _inflate,
    "zstd": _unzstd,
    "br": _unbrotli,
    "identity": _identity,
}
