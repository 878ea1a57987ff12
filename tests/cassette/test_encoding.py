"""A stored body is readable whatever encoding it was sent in, and a bomb is stopped at the cap."""

from __future__ import annotations

import gzip
import zlib

import pytest

from llmbatch.call.values import Reply
from llmbatch.cassette.encoding import TooLargeError, decoded_body
from llmbatch.cassette.scrub import Scrubber
from llmbatch.cassette.stored import FAILURE_BODY_CAP, stored_failure, stored_reply

TEXT = b'{"a":"hello hello hello"}'
CAP = 1000


def raw_deflate(text: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(text) + stream.flush()


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(TEXT), "gzip"),
        (gzip.compress(TEXT[:9]) + gzip.compress(TEXT[9:]), "GZip"),
        (zlib.compress(TEXT), "deflate"),
        (raw_deflate(TEXT), "deflate"),
        (gzip.compress(zlib.compress(TEXT)), "deflate, gzip"),
        (TEXT, "identity"),
        (TEXT, ""),
    ],
)
def test_a_body_is_decoded(body: bytes, encoding: str) -> None:
    """Encodings are undone from the last to the first."""
    assert decoded_body(body, encoding, cap=CAP) == (TEXT, "")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd", "gzip, deflate"])
def test_a_body_that_the_client_decoded_loses_its_header(encoding: str) -> None:
    """Some clients hand on decoded bytes and the header of the wire."""
    assert decoded_body(TEXT, encoding, cap=CAP) == (TEXT, "")


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(TEXT)[:-9], "gzip"),
        (b"\x28\xb5\x2f\xfd but no zstd", "zstd"),
        (b"anything", "made-up"),
    ],
)
def test_a_body_that_cannot_be_decoded_keeps_its_header(body: bytes, encoding: str) -> None:
    """So that a replay is what was sent."""
    assert (body, encoding) == decoded_body(body, encoding, cap=CAP)

    stored = stored_reply(Scrubber(), Reply(200, "OK", {"Content-Encoding": (encoding,)}, body), cap=CAP)

    assert {"content-encoding": (encoding,)} == stored.headers


@pytest.mark.parametrize("encode", [gzip.compress, zlib.compress, raw_deflate])
def test_a_bomb_stops_at_the_cap(encode: object) -> None:
    """A few bytes may stand for gigabytes."""
    assert callable(encode)
    with pytest.raises(TooLargeError):
        decoded_body(encode(b"0" * 5_000_000), "gzip" if encode is gzip.compress else "deflate", cap=CAP)


def test_a_failure_is_cut_between_characters() -> None:
    """A body that was text stays text."""
    reply = Reply(500, "no", {}, "é".encode() * 20_000 + b"x")
    odd = Reply(500, "no", {}, b"x" + "é".encode() * 20_000)

    assert len(stored_failure(Scrubber(), reply, cap=CAP * 1000).body) == FAILURE_BODY_CAP
    assert len(stored_failure(Scrubber(), odd, cap=CAP * 1000).body) == FAILURE_BODY_CAP - 1
    assert (
        stored_failure(
            Scrubber(), Reply(500, "no", {"content-encoding": ("gzip",)}, gzip.compress(b"0" * 2000)), cap=CAP
        ).body
        == b""
    )
