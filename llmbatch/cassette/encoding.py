"""Undoing content encodings before a body is stored, under a cap. Knows no header but `content-encoding`.

A stored body must be readable and scrubbable, and clients differ in what they hand on: some the bytes
of the wire with the header, some decoded bytes and still the header. Both end as decoded bytes.
"""

from __future__ import annotations

import gzip
import importlib
import io
import zlib
from collections.abc import Callable


class TooLargeError(ValueError):
    """A body that grows beyond the cap when decoded."""


class _UndecodedError(ValueError):
    """Bytes that cannot be decoded here, and must keep their header."""


def decoded_body(body: bytes, content_encoding: str, *, cap: int) -> tuple[bytes, str]:
    """Return the decoded body and the encodings that are still on it (`""` when none is).

    `content_encoding` is the header's text, the encodings in the order applied. Raises TooLargeError.
    """
    encodings = [name for word in content_encoding.split(",") if (name := word.strip().lower())]
    while encodings:
        decode = _DECODERS.get(encodings[-1])
        if decode is None:
            break
        try:
            body = decode(body, cap)
        except _UndecodedError:
            break
        if len(body) > cap:
            raise TooLargeError(f"more than {cap} bytes after decoding")
        encodings.pop()
    return body, ", ".join(encodings)


def _gunzip(body: bytes, cap: int) -> bytes:
    if body[:2] != b"\x1f\x8b":
        return body  # the client has decoded it and kept the header
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as stream:
            return stream.read(cap + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise _UndecodedError from error


def _inflate(body: bytes, cap: int) -> bytes:
    # RFC 9110 says zlib's wrapping, some servers send it bare
    for window in (zlib.MAX_WBITS, -zlib.MAX_WBITS):
        stream = zlib.decompressobj(window)
        try:
            plain = stream.decompress(body, cap + 1)
        except zlib.error:
            continue
        if len(plain) > cap or (stream.eof and not stream.unused_data):
            return plain
    return body


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
                return bytes(stream.read(cap + 1))
        except (EOFError, module.ZstdError) as error:
            raise _UndecodedError from error
    raise _UndecodedError


def _unbrotli(body: bytes, cap: int) -> bytes:
    try:
        module = importlib.import_module("brotli")
        stream = module.Decompressor()
        # older modules know no limit, and a few bytes may stand for gigabytes
        plain = bytes(stream.process(body, output_buffer_limit=cap + 1))
    except ImportError as error:
        raise _UndecodedError from error
    except TypeError as error:
        raise _UndecodedError from error
    except module.error:
        return body  # no magic number tells them apart: taken for decoded by the client
    return plain


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
