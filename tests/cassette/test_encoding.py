"""A stored body is readable whatever encoding it was sent in, and a bomb is stopped at the cap."""

from __future__ import annotations

import gzip
import subprocess
import sys
import tracemalloc
import zlib

import pytest

from llmbatch.call.values import Reply
from llmbatch.cassette.encoding import TooLargeError, Undone, decoded_body
from llmbatch.cassette.scrub import Scrubber
from llmbatch.cassette.stored import FAILURE_BODY_CAP, stored_failure, stored_reply
from tests.support.memory import PEAK_MIB, needs_peak_memory

TEXT = b'{"a":"hello hello hello"}'
BROTLI = bytes.fromhex("0b0c807b2261223a2268656c6c6f2068656c6c6f2068656c6c6f227d03")  # TEXT
CAP = 1000


def raw_deflate(text: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(text) + stream.flush()


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(TEXT, mtime=0), "gzip"),
        (gzip.compress(TEXT[:9], mtime=0) + gzip.compress(TEXT[9:], mtime=0), "GZip"),
        (zlib.compress(TEXT), "deflate"),
        (raw_deflate(TEXT), "deflate"),
        (gzip.compress(zlib.compress(TEXT), mtime=0), "deflate, gzip"),
        (TEXT, "identity"),
        (TEXT, ""),
    ],
)
def test_a_body_is_decoded(body: bytes, encoding: str) -> None:
    """Encodings are undone from the last to the first."""
    assert decoded_body(body, encoding, cap=CAP) == Undone(TEXT)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd", "br", "gzip, deflate"])
def test_a_body_that_the_client_decoded_loses_its_header(encoding: str) -> None:
    """Some clients hand on decoded bytes and the header of the wire."""
    assert decoded_body(TEXT, encoding, cap=CAP) == Undone(TEXT)


@pytest.fixture
def no_decoders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python as it is without the packages that clients may have brought along."""
    for name in ("brotli", "brotlicffi", "compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.usefixtures("no_decoders")
@pytest.mark.parametrize(
    ("body", "encoding", "is_broken"),
    [
        (gzip.compress(TEXT, mtime=0)[:-9], "gzip", True),
        (BROTLI, "br", False),
        (b"\x28\xb5\x2f\xfd and more", "zstd", False),
        (b"anything", "made-up", False),
    ],
)
def test_a_body_that_cannot_be_decoded_keeps_its_header(body: bytes, encoding: str, is_broken: bool) -> None:
    """So that a replay is what was sent; one that is cut is told from one that this machine cannot read."""
    assert Undone(body, encoding, is_broken) == decoded_body(body, encoding, cap=CAP)

    stored = stored_reply(Scrubber(), Reply(200, "OK", {"Content-Encoding": (encoding,)}, body), cap=CAP)

    assert {"content-encoding": (encoding,)} == stored.headers


@pytest.mark.parametrize("encode", [gzip.compress, zlib.compress, raw_deflate])
def test_a_bomb_stops_at_the_cap(encode: object) -> None:
    """A few bytes may stand for gigabytes."""
    assert callable(encode)
    with pytest.raises(TooLargeError):
        decoded_body(encode(b"0" * 5_000_000), "gzip" if encode is gzip.compress else "deflate", cap=CAP)


@pytest.mark.parametrize("encode", [gzip.compress, zlib.compress, raw_deflate])
def test_a_decoder_holds_little_more_than_the_cap(encode: object) -> None:
    """One copy of the body is needed; a second one would double what a hostile file can take."""
    assert callable(encode)
    cap, bomb = 8 << 20, encode(bytes(64 << 20))
    tracemalloc.start()
    with pytest.raises(TooLargeError):
        decoded_body(bomb, "gzip" if encode is gzip.compress else "deflate", cap=cap)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < cap * 3 // 2


BOMB = """
import gzip, struct, sys, zlib
from llmbatch.cassette.encoding import TooLargeError, decoded_body

CAP, BLOCK, GIB = 1 << 20, bytes(1 << 20), 1 << 30
wbits = {"one member": 31, "deflate": 15}

def member(wbits):
    stream = zlib.compressobj(wbits=wbits)
    head = stream.compress(BLOCK) + stream.flush(zlib.Z_FULL_FLUSH)
    again = stream.compress(BLOCK) + stream.flush(zlib.Z_FULL_FLUSH)
    return head + again * 1023

def zstd_frame():
    # a window of 2 MiB, a declared size of 1 TiB, then blocks of 128 KiB that repeat one byte
    block = struct.pack("<I", 0 | 1 << 1 | (128 << 10) << 3)[:3] + b"0"
    return bytes.fromhex("28b52ffd") + bytes([0xC0, 11 << 3]) + struct.pack("<Q", 1 << 40) + block * 8192

def brotli_stream():
    import brotli
    stream = brotli.Compressor(quality=1)
    return b"".join(stream.process(BLOCK) for _ in range(1024)) + stream.finish()

made = {
    "one member": (lambda: member(31), "gzip"),
    "many members": (lambda: gzip.compress(BLOCK) * 1024, "gzip"),
    "nested": (lambda: gzip.compress(gzip.compress(BLOCK) * 1024), "gzip, gzip"),
    "deflate": (lambda: member(15), "deflate"),
    "zstd": (zstd_frame, "zstd"),
    "br": (brotli_stream, "br"),
}
make, encoding = made[sys.argv[1]]
bomb = make()
if encoding == "zstd":
    decoded_body(bomb[:22], encoding, cap=CAP)  # two blocks: the module is loaded, its window there
before = peak_mib()
try:
    print("decoded", decoded_body(bomb, encoding, cap=CAP).left)
except TooLargeError:
    grown = peak_mib() - before
    print("stopped", "small" if grown < 24 else grown)
"""


@needs_peak_memory
@pytest.mark.parametrize("bomb", ["one member", "many members", "nested", "deflate", "zstd", "br"])
def test_a_gibibyte_of_zeros_takes_no_memory(bomb: str) -> None:
    """In a process of its own, whose peak is known: a few times the cap, not what the bomb holds."""
    if bomb == "zstd":
        pytest.importorskip("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
    if bomb == "br":
        pytest.importorskip("brotli", minversion="1.2")
    command = [sys.executable, "-c", PEAK_MIB + BOMB, bomb]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)

    assert "stopped small\n" == finished.stdout, finished.stderr


def test_brotli_is_undone_and_a_cut_body_is_not_taken_for_whole() -> None:
    """It has no magic number and no checksum: only its end says that it is whole."""
    brotli = pytest.importorskip("brotli", minversion="1.2")
    body = brotli.compress(TEXT * 30)

    assert Undone(TEXT * 30) == decoded_body(body, "br", cap=CAP)
    assert Undone(body[:-9], "br", broken=True) == decoded_body(body[:-9], "br", cap=CAP)
    assert Undone(b"") == decoded_body(b"", "br", cap=CAP)


def test_zstd_is_undone_frame_by_frame() -> None:
    """Several frames are one body; one that is cut is broken."""
    zstd = pytest.importorskip("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
    body = zstd.compress(TEXT) + zstd.compress(TEXT)

    assert Undone(TEXT + TEXT) == decoded_body(body, "zstd", cap=CAP)
    assert Undone(body[:-3], "zstd", broken=True) == decoded_body(body[:-3], "zstd", cap=CAP)


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
